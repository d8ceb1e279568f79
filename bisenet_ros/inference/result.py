"""The outputs requested from a Segmenter, how they are computed, and the results it returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bisenet_ros.label_map import LabelMap

# What a frame goes through, in order; the times of each are reported under these names.
STAGES = ("decode", "preprocess", "forward", "postprocess", "publish")


@dataclass(frozen=True)
class OutputRequest:
    """Which outputs to compute in addition to the mask, and how.

    Attributes:
        confidence: compute the confidence map.
        overlay: draw the overlay.
        alpha: opacity of the palette in the overlay, 0–1.
        threshold: pixels whose class has a lower probability (0–1) are unlabelled: 255, or what
            the label map makes of them.
        scale: size of the outputs relative to the image, above 0 and at most 1. The class of each
            pixel is decided at that size.
        rotation: clockwise turn in degrees, a multiple of 90, that puts the image upright for the
            network. Outputs lie as the image does.
        label_map: groups the network's classes; mask and overlay then show the groups, and the
            confidence is the sum over the classes of a group.
    """

    confidence: bool = False
    overlay: bool = False
    alpha: float = 0.5
    threshold: float = 0.0
    scale: float = 1.0
    rotation: int = 0
    label_map: LabelMap | None = None

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the outputs for an image of this size; at least one pixel."""
        return max(1, round(height * self.scale)), max(1, round(width * self.scale))


@dataclass(frozen=True)
class Times:
    """Milliseconds that a batch spent in each stage."""

    preprocess: float
    forward: float
    postprocess: float


@dataclass(frozen=True)
class Result:
    """The outputs for one image; all arrays have the size of that image times ``scale``.

    The arrays belong to the caller as long as it holds a reference to them or to views of them:
    their memory is reused for a later image only when no references are left.

    Attributes:
        mask: (H, W) uint8 class ids, or those of the label map; 255 is unlabelled.
        confidence: (H, W) uint8, the probability of the chosen class · 255, rounded, and 0 where
            the pixel is unlabelled; or None.
        overlay: (H, W, 3) uint8 RGB, or None.
        times: of the batch the image was part of.
    """

    mask: np.ndarray
    confidence: np.ndarray | None
    overlay: np.ndarray | None
    times: Times
