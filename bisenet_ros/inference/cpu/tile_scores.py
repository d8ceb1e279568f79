"""The scores of a tile's classes at the camera's resolution: the best, and its probability."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.cpu.tiles import LARGEST_TILE

# Writes the scores of the class with an id to an array (H, W) float32.
Upsample = Callable[[int, np.ndarray], None]


class Work:
    """Arrays for tiles of any shape.

    Args:
        buffers: provides them.
    """

    def __init__(self, buffers: Buffers) -> None:
        self._floats, self._bytes = (
            buffers.scratch("tiles", (count, LARGEST_TILE), dtype)
            for count, dtype in ((4, np.float32), (2, np.uint8))
        )

    def floats(self, shape: tuple[int, int]) -> list[np.ndarray]:
        """Four arrays (H, W) float32; contiguous, of any content."""
        return self._shaped(self._floats, shape)

    def bytes(self, shape: tuple[int, int]) -> list[np.ndarray]:
        """Two arrays (H, W) uint8; contiguous, of any content."""
        return self._shaped(self._bytes, shape)

    def _shaped(self, flat: np.ndarray, shape: tuple[int, int]) -> list[np.ndarray]:
        return [line[: shape[0] * shape[1]].reshape(shape) for line in flat]


class TileScores:
    """Upsamples one class at a time: its scores are still in the cache when they are compared.

    Args:
        upsample: is called with a class's id.
        classes: how many there are.
        shape: (H, W) of the tile.
        work: arrays that are overwritten by the next tile.
    """

    def __init__(
        self, upsample: Upsample, classes: int, shape: tuple[int, int], work: Work
    ) -> None:
        self.upsample, self.classes = upsample, classes
        self.best, self._plane, self._total, self._own = work.floats(shape)
        self.labels, self._chosen = work.bytes(shape)

    def classify(
        self,
        may_win: Sequence[int],
        groups: np.ndarray | None,
        mask: np.ndarray,
        keep_best: bool,
    ) -> None:
        """Write the class with the best score to ``mask``, or its group; ties go to the lowest id.

        Args:
            may_win: ids of the classes to compare, ascending.
            groups: (256,) uint8, or None.
            mask: (H, W) uint8; overwritten.
            keep_best: :meth:`probability` will be called.
        """
        first, *others = may_win
        self.labels.fill(first)
        if others or keep_best:
            self.upsample(first, self.best)
        plane, better = self._plane, self._chosen
        for label in others:
            self.upsample(label, plane)
            cv2.compare(plane, self.best, cv2.CMP_GT, dst=better)  # 255 where greater, else 0
            cv2.max(self.best, plane, dst=self.best)
            # Ids ascend, so the larger of two ids is the later winner.
            np.bitwise_and(better, np.uint8(label), out=better)
            np.maximum(self.labels, better, out=self.labels)
        if groups is not None:
            cv2.LUT(self.labels, groups.reshape(1, 256), dst=self.labels)
        np.copyto(mask, self.labels)

    def probability(self, groups: np.ndarray | None, temperature: float, out: np.ndarray) -> None:
        """Write the softmax probability of the class or group that :meth:`classify` chose.

        Args:
            groups: as passed to :meth:`classify`.
            temperature: of the softmax.
            out: (H, W) float32; overwritten.
        """
        total, own, power = self._total, self._own, self._plane
        total.fill(0)
        own.fill(0 if groups is not None else 1)
        for label in range(self.classes):
            self._power(label, temperature, power)
            cv2.add(total, power, dst=total)
            if groups is not None:
                np.equal(self.labels, groups[label], out=self._chosen.view(np.bool_))
                cv2.add(own, power, dst=own, mask=self._chosen)
        np.divide(own, total, out=out)

    def _power(self, label: int, temperature: float, out: np.ndarray) -> None:
        """exp((score − best) / T) of one class; upsampling again is cheaper than keeping all."""
        self.upsample(label, out)
        cv2.subtract(out, self.best, dst=out)
        if temperature != 1:  # of the difference: 0 stays 0, whatever the rounding
            np.multiply(out, np.float32(1 / temperature), out=out)
        cv2.exp(out, dst=out)
