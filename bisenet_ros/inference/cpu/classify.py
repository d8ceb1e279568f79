"""Logits at 1/8 → the class of each camera pixel, one class after another."""

from __future__ import annotations

import cv2
import numpy as np

from bisenet_ros.inference.cpu.buffers import Buffers


def classify(
    logits: np.ndarray, mask: np.ndarray, buffers: Buffers, probability: bool = False
) -> np.ndarray | None:
    """Bring logits to the mask's size bilinearly and write the likeliest class of each pixel.

    The classes come one after another and only the best so far is kept; of equals the lowest id
    wins. Bilinear as ``bisenet_ros.networks.upsample``: pixel centres at half.

    Args:
        logits: (n, h, w) float32, each (h, w) contiguous; 1 ≤ n ≤ 255.
        mask: (H, W) uint8, C-contiguous; overwritten.
        buffers: where the working arrays are kept.
        probability: also return the winning class's softmax probability.

    Returns:
        (H, W) float32 in ``buffers``, valid until the next call, or None if it was not asked for.
    """
    shape = mask.shape
    best = buffers.scratch("best", shape, np.float32)
    rival = buffers.scratch("rival", shape, np.float32)
    wins = buffers.scratch("wins", shape, np.uint8)
    mask.fill(0)
    _resize(logits[0], best)
    for index in range(1, len(logits)):
        _resize(logits[index], rival)
        cv2.compare(rival, best, cv2.CMP_GT, dst=wins)  # 255 where it wins, else 0
        cv2.max(best, rival, dst=best)
        # Ids ascend, so the larger of two ids is the later winner.
        np.bitwise_and(wins, np.uint8(index), out=wins)
        np.maximum(mask, wins, out=mask)
    return _probability(logits, best, rival, buffers) if probability else None


def _probability(
    logits: np.ndarray, best: np.ndarray, power: np.ndarray, buffers: Buffers
) -> np.ndarray:
    """Softmax of the best class, 1 / Σ exp(logit − best); ``power`` is overwritten."""
    total = buffers.scratch("total", best.shape, np.float32)
    total.fill(0)
    for plane in logits:
        _resize(plane, power)  # cheaper a second time than kept for every class
        cv2.subtract(power, best, dst=power)
        cv2.exp(power, dst=power)
        cv2.add(total, power, dst=total)
    return np.divide(1, total, out=total)


def _resize(plane: np.ndarray, out: np.ndarray) -> None:
    height, width = out.shape
    cv2.resize(plane, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
