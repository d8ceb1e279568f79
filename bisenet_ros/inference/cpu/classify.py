"""Logits → the class of each camera pixel, processed class by class."""

from __future__ import annotations

import cv2
import numpy as np

from bisenet_ros.inference.cpu.buffers import Buffers


def classify(
    logits: np.ndarray, mask: np.ndarray, buffers: Buffers, probability: bool = False
) -> np.ndarray | None:
    """Upsample logits bilinearly to the mask's size and write the best class of each pixel.

    The classes are processed one by one and only the best so far is kept; ties go to the lowest
    id. Half-pixel centres, as in ``bisenet_ros.networks.upsample``.

    Args:
        logits: (n, h, w) float32, each (h, w) contiguous; 1 ≤ n ≤ 255.
        mask: (H, W) uint8, C-contiguous; overwritten.
        buffers: provides the working arrays.
        probability: also return the softmax probability of the chosen class.

    Returns:
        (H, W) float32 in ``buffers``, valid until the next call; None without ``probability``.
    """
    shape = mask.shape
    best = buffers.scratch("best", shape, np.float32)
    plane = buffers.scratch("plane", shape, np.float32)
    better = buffers.scratch("better", shape, np.uint8)
    mask.fill(0)
    _resize(logits[0], best)
    for index in range(1, len(logits)):
        _resize(logits[index], plane)
        cv2.compare(plane, best, cv2.CMP_GT, dst=better)  # 255 where greater, else 0
        cv2.max(best, plane, dst=best)
        # Ids ascend, so the larger of two ids is the later winner.
        np.bitwise_and(better, np.uint8(index), out=better)
        np.maximum(mask, better, out=mask)
    return _probability(logits, best, plane, buffers) if probability else None


def _probability(
    logits: np.ndarray, best: np.ndarray, work: np.ndarray, buffers: Buffers
) -> np.ndarray:
    """Softmax of the best class, 1 / Σ exp(logit − best); ``work`` is overwritten."""
    total = buffers.scratch("total", best.shape, np.float32)
    total.fill(0)
    for plane in logits:
        _resize(plane, work)  # resizing again is cheaper than storing every class
        cv2.subtract(work, best, dst=work)
        cv2.exp(work, dst=work)
        cv2.add(total, work, dst=total)
    return np.divide(1, total, out=total)


def _resize(plane: np.ndarray, out: np.ndarray) -> None:
    height, width = out.shape
    cv2.resize(plane, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
