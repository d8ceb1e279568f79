"""The picture people look at: camera and palette in one."""

from __future__ import annotations

import cv2
import numpy as np

from bisenet_ros.labels import UNLABELLED


def blend(image: np.ndarray, mask: np.ndarray, palette: np.ndarray, alpha: float) -> np.ndarray:
    """Lay each pixel's class colour over the image; unlabelled pixels show the camera alone.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8 class ids, 255 unlabelled.
        palette: (256, 3) uint8 RGB.
        alpha: opacity of the colours, 0–1.

    Returns:
        (H, W, 3) uint8 RGB, a new array: round(image · (1 − alpha) + colour · alpha).
    """
    colours = cv2.applyColorMap(mask, palette.reshape(256, 1, 3))
    blended = cv2.addWeighted(image, 1 - alpha, colours, alpha, 0)
    unlabelled = mask == UNLABELLED
    if unlabelled.any():
        blended[unlabelled] = image[unlabelled]
    return blended
