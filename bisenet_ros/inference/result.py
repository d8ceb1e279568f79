"""The outputs requested from a Segmenter, and the results it returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# What a frame goes through, in order; the times of each are reported under these names.
STAGES = ("decode", "preprocess", "forward", "postprocess", "publish")


@dataclass(frozen=True)
class OutputRequest:
    """Which outputs to compute in addition to the mask, and how.

    Attributes:
        confidence: compute the confidence map.
        overlay: draw the overlay.
        alpha: opacity of the palette in the overlay, 0–1.
        threshold: pixels whose class has a lower probability (0–1) are set to 255.
    """

    confidence: bool = False
    overlay: bool = False
    alpha: float = 0.5
    threshold: float = 0.0


@dataclass(frozen=True)
class Times:
    """Milliseconds that a batch spent in each stage."""

    preprocess: float
    forward: float
    postprocess: float


@dataclass(frozen=True)
class Result:
    """The outputs for one image; all arrays have the size of that image.

    The arrays belong to the caller as long as it holds a reference to them or to views of them:
    their memory is reused for a later image only when no references are left.

    Attributes:
        mask: (H, W) uint8 class ids, 255 where the probability is below the threshold.
        confidence: (H, W) uint8, the probability of the chosen class · 255, rounded; or None.
        overlay: (H, W, 3) uint8 RGB, or None.
        times: of the batch the image was part of.
    """

    mask: np.ndarray
    confidence: np.ndarray | None
    overlay: np.ndarray | None
    times: Times
