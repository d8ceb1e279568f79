"""Logits at 1/8 → the class of each camera pixel."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bisenet_ros.networks import upsample


@torch.inference_mode()
def classify(
    logits: Tensor, size: tuple[int, int], probability: bool = False
) -> tuple[np.ndarray, np.ndarray | None]:
    """Bring logits to ``size`` bilinearly and take the most likely class of each pixel.

    Args:
        logits: (n, h, w) float32, on any device.
        size: (height, width) of the camera image.
        probability: also return the winning class's softmax probability.

    Returns:
        mask (height, width) uint8 and, if asked for, probability (height, width) float32.
    """
    height, width = size
    full = upsample(logits[None], size)[0]
    mask = full.argmax(0).to(torch.uint8)
    likely = full.softmax(0).amax(0).cpu().numpy() if probability else None
    return mask.cpu().numpy(), likely
