"""Rows of logits at the mask's width, a few at a time."""

from __future__ import annotations

import cv2
import numpy as np

from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.cpu.tiles import Band, deepest

# Fewer calls with more rows are faster; 171 classes at the width of a 4K camera would take 170 MB.
WIDE_VALUES = 1 << 22


class WideRows:
    """Upsamples logits along their rows, as many rows at once as fit into 16 MB.

    Args:
        logits: (n, h, w) float32.
        shape: (H, W) of the mask.
        buffers: provides the working array.
    """

    def __init__(self, logits: np.ndarray, shape: tuple[int, int], buffers: Buffers) -> None:
        classes, height, _ = logits.shape
        least = deepest(logits.shape[1:], shape)
        room = max(least, min(height, WIDE_VALUES // (classes * shape[1])))
        self.logits = logits
        self._wide = buffers.scratch("wide", (classes, room, shape[1]), np.float32)
        self._held = slice(0, 0)

    def of(self, band: Band) -> np.ndarray:
        """(n, k, W) float32: the logits of the band's source rows; bands are asked for in order."""
        start, stop = band.source_rows.start, band.source_rows.stop
        if stop > self._held.stop:
            self._held = slice(start, min(start + self._wide.shape[1], self.logits.shape[1]))
            self._fill()
        return self._wide[:, start - self._held.start : stop - self._held.start]

    def _fill(self) -> None:
        rows = self.logits[:, self._held]
        width = self._wide.shape[2]
        for plane, out in zip(rows, self._wide[:, : rows.shape[1]], strict=True):
            cv2.resize(plane, (width, len(plane)), dst=out, interpolation=cv2.INTER_LINEAR)
