"""A segmented image on its way to the ground grid and the points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from std_msgs.msg import Header

from bisenet_ros.inference.image_encodings import Pixels
from bisenet_ros.labels import LabelSet
from bisenet_ros.ros.parameters.definition import Parameters


@dataclass(frozen=True, eq=False)
class SegmentedFrame:
    """What of one image the projections need.

    Attributes:
        header: of the image.
        pixels: of the image, at its own size.
        mask: (H, W) uint8, at the size of the outputs.
        confidence: (H, W) uint8, or None if nobody asked for it in time.
        labels: what the mask's ids mean.
        parameters: as they were when the image was segmented.
    """

    header: Header
    pixels: Pixels
    mask: np.ndarray
    confidence: np.ndarray | None
    labels: LabelSet
    parameters: Parameters

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the image."""
        height, width = self.pixels.image.shape[:2]
        return height, width

    @property
    def mask_size(self) -> tuple[int, int]:
        """(height, width) of the mask."""
        height, width = self.mask.shape
        return height, width
