"""Which logits a camera pixel lies between, and its weights: linear, with half-pixel centres."""

from __future__ import annotations

import numpy as np


def upsample_axis(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each of ``target`` samples lies along an axis of ``source`` logits.

    As ``torch.nn.functional.interpolate`` computes it with ``align_corners=False``.

    Returns:
        (2, target) int32, the two logits a sample lies between, which are the same at the edges;
        (2, target) float32, their weights, which add up to 1.
    """
    scale, half = np.float32(source) / np.float32(target), np.float32(0.5)
    position = np.maximum(
        scale * (np.arange(target, dtype=np.float32) + half) - half, np.float32(0)
    )
    # In float32 the last position may round up to the edge.
    first = np.minimum(position.astype(np.int32), source - 1)
    weight = position - first.astype(np.float32)
    indices = np.stack([first, np.minimum(first + 1, source - 1)])
    return indices, np.stack([np.float32(1) - weight, weight])
