"""What a caller asks of a Segmenter and what it gets back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# What a frame goes through, in order; the times of each are reported under these names.
STAGES = ("decode", "preprocess", "forward", "postprocess", "publish")


@dataclass(frozen=True)
class OutputRequest:
    """What to build beside the mask, and how.

    Attributes:
        confidence: build the confidence map.
        overlay: build the overlay.
        alpha: opacity of the palette in the overlay, 0–1.
        threshold: pixels whose class is less probable become 255, 0–1.
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
    """What one image became; all arrays have the image's own size.

    The arrays belong to the caller for as long as it refers to them or to views of them: their
    memory is used again for a later image only when nothing refers to it any more.

    Attributes:
        mask: (H, W) uint8 class ids, 255 where the class is less probable than the threshold.
        confidence: (H, W) uint8, the winning class's probability · 255 rounded, or None.
        overlay: (H, W, 3) uint8 RGB, or None.
        times: of the batch the image was in.
    """

    mask: np.ndarray
    confidence: np.ndarray | None
    overlay: np.ndarray | None
    times: Times
