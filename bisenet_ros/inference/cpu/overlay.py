"""The overlay: the camera image blended with the class colours."""

from __future__ import annotations

import cv2
import numpy as np

from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.labels import UNLABELLED


def colour_mask(mask: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """(H, W) uint8 ids in the colours of a (256, 3) uint8 RGB palette: (H, W, 3) uint8."""
    return cv2.applyColorMap(mask, palette.reshape(256, 1, 3))


def blend(
    image: np.ndarray,
    mask: np.ndarray,
    palette: np.ndarray,
    alpha: float,
    buffers: Buffers | None = None,
) -> np.ndarray:
    """Blend each pixel's class colour into the image; unlabelled pixels stay as they are.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8 class ids, 255 unlabelled.
        palette: (256, 3) uint8 RGB.
        alpha: opacity of the colours, 0–1.
        buffers: provides the result and the working arrays; None allocates new ones.

    Returns:
        (H, W, 3) uint8 RGB, lent by ``buffers``: round(image · (1 − alpha) + colour · alpha).
    """
    buffers = Buffers() if buffers is None else buffers
    out = buffers.lend((*mask.shape, 3), np.uint8)
    cv2.applyColorMap(mask, palette.reshape(256, 1, 3), dst=out)
    cv2.addWeighted(image, 1 - alpha, out, alpha, 0, dst=out)
    if mask.max() == UNLABELLED:
        unlabelled = buffers.scratch("unlabelled", mask.shape, np.bool_)
        np.equal(mask, UNLABELLED, out=unlabelled)
        cv2.copyTo(image, unlabelled.view(np.uint8), dst=out)
    return out
