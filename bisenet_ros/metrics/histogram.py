"""Exact counts of pixels by one or several bytes, an order of magnitude faster than NumPy's."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_EXACT = 1 << 24  # OpenCV counts in float32, whose whole numbers are exact up to here


def count(images: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """How many pixels have each combination of values.

    Args:
        images: uint8 of any one shape; values of image i from ``sizes[i]`` on are left out.
        sizes: 1 to 256 each.

    Returns:
        int64 of shape ``sizes``.
    """
    flat = [np.ascontiguousarray(image).reshape(1, -1) for image in images]
    ranges = [edge for size in sizes for edge in (0, size)]
    total = np.zeros(tuple(sizes), np.int64)
    for start in range(0, flat[0].size, _EXACT):
        part = [image[:, start : start + _EXACT] for image in flat]
        counted = cv2.calcHist(part, list(range(len(part))), None, list(sizes), ranges)
        total += counted.reshape(total.shape).astype(np.int64)
    return total
