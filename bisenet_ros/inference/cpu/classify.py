"""Logits → the class of each camera pixel, processed class by class."""

from __future__ import annotations

import cv2
import numpy as np

from bisenet_ros.inference.cpu.buffers import Buffers


def classify(
    logits: np.ndarray,
    mask: np.ndarray,
    buffers: Buffers,
    probability: bool = False,
    groups: np.ndarray | None = None,
    temperature: float = 1.0,
) -> np.ndarray | None:
    """Upsample logits bilinearly to the mask's size and write the best class of each pixel.

    The classes are processed one by one and only the best so far is kept; ties go to the lowest
    id. Half-pixel centres, as in ``bisenet_ros.networks.upsample``.

    Args:
        logits: (n, h, w) float32, each (h, w) contiguous; 1 ≤ n ≤ 255.
        mask: (H, W) uint8, C-contiguous; overwritten.
        buffers: provides the working arrays.
        probability: also return the softmax probability of the chosen class.
        groups: (256,) uint8 of :meth:`.LabelMap.table`; the mask then holds the chosen class's
            group, and its probability is the sum over the group's classes.
        temperature: of the softmax; the mask does not depend on it.

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
    if groups is not None:
        cv2.LUT(mask, groups.reshape(1, 256), dst=mask)
    if not probability:
        return None
    if groups is None:
        return np.divide(1, _powers(logits, best, plane, temperature, buffers), out=best)
    return _group_probability(logits, best, plane, mask, groups, temperature, buffers)


def _powers(
    logits: np.ndarray,
    best: np.ndarray,
    work: np.ndarray,
    temperature: float,
    buffers: Buffers,
) -> np.ndarray:
    """Σ exp((logit − best) / T) over all classes; ``work`` is overwritten."""
    total = buffers.scratch("total", best.shape, np.float32)
    total.fill(0)
    for plane in logits:
        _power(plane, best, temperature, work)
        cv2.add(total, work, dst=total)
    return total


def _group_probability(
    logits: np.ndarray,
    best: np.ndarray,
    work: np.ndarray,
    mask: np.ndarray,
    groups: np.ndarray,
    temperature: float,
    buffers: Buffers,
) -> np.ndarray:
    """Softmax summed over the classes of each pixel's group; ``work`` is overwritten."""
    total = buffers.scratch("total", best.shape, np.float32)
    own = buffers.scratch("own", best.shape, np.float32)
    member = buffers.scratch("member", best.shape, np.bool_)
    total.fill(0)
    own.fill(0)
    for index, plane in enumerate(logits):
        _power(plane, best, temperature, work)
        cv2.add(total, work, dst=total)
        np.equal(mask, groups[index], out=member)
        cv2.add(own, work, dst=own, mask=member.view(np.uint8))
    return np.divide(own, total, out=own)


def _power(plane: np.ndarray, best: np.ndarray, temperature: float, out: np.ndarray) -> None:
    """exp((logit − best) / T) of one class; resizing again is cheaper than storing every class."""
    _resize(plane, out)
    cv2.subtract(out, best, dst=out)
    if temperature != 1:  # of the difference: 0 stays 0, whatever the rounding
        np.multiply(out, np.float32(1 / temperature), out=out)
    cv2.exp(out, dst=out)


def _resize(plane: np.ndarray, out: np.ndarray) -> None:
    height, width = out.shape
    cv2.resize(plane, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
