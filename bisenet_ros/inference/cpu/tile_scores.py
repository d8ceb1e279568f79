"""The scores of a tile's classes at the camera's resolution, and what is written for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.cpu.tiles import LARGEST_TILE
from bisenet_ros.labels import UNLABELLED

# Writes the scores of the class with an id to an array (H, W) float32.
Upsample = Callable[[int, np.ndarray], None]


@dataclass(frozen=True)
class Rule:
    """What is written for which scores.

    Attributes:
        groups: (256,) uint8 of :meth:`.LabelMap.table`: the mask holds the best class's group,
            whose probability is the sum over its classes. None for the classes themselves.
        temperature: of the softmax; without a threshold, the mask does not depend on it.
        threshold: 0–1; what is less probable becomes ``unlabelled``.
        unlabelled: id of such pixels.
    """

    groups: np.ndarray | None = None
    temperature: float = 1.0
    threshold: float = 0.0
    unlabelled: int = UNLABELLED


BEST_CLASS = Rule()


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
        self._upsample, self._classes = upsample, classes
        self._best, self._plane, self._total, self._own = work.floats(shape)
        self._labels, self._chosen = work.bytes(shape)

    def write(
        self,
        may_win: Sequence[int],
        rule: Rule,
        mask: np.ndarray,
        confidence: np.ndarray | None,
    ) -> None:
        """Write what the rule says of the best class of each pixel; ties go to the lowest id.

        Args:
            may_win: ids of the classes to compare, ascending.
            rule: which label, and from which probability on.
            mask: (H, W) uint8; overwritten.
            confidence: (H, W) uint8, overwritten with the label's probability, 0–255; or None.
        """
        probable = confidence is not None or rule.threshold > 0
        self._choose(may_win, probable)
        if rule.groups is not None:
            cv2.LUT(self._labels, rule.groups.reshape(1, 256), dst=self._labels)
        if probable:
            probability = self._probability(rule)
            self._drop_unlikely(rule, probability)
            if confidence is not None:
                # Scales, rounds and casts in one pass; a probability's absolute value is itself.
                cv2.convertScaleAbs(probability, dst=self._chosen, alpha=255)
                np.copyto(confidence, self._chosen)
        np.copyto(mask, self._labels)

    def _choose(self, may_win: Sequence[int], keep_best: bool) -> None:
        """The class with the best score, in ``_labels``; its score, in ``_best``, if needed."""
        first, *others = may_win
        self._labels.fill(first)
        if others or keep_best:
            self._upsample(first, self._best)
        plane, better = self._plane, self._chosen
        for label in others:
            self._upsample(label, plane)
            cv2.compare(plane, self._best, cv2.CMP_GT, dst=better)  # 255 where greater, else 0
            cv2.max(self._best, plane, dst=self._best)
            # Ids ascend, so the larger of two ids is the later winner.
            np.bitwise_and(better, np.uint8(label), out=better)
            np.maximum(self._labels, better, out=self._labels)

    def _probability(self, rule: Rule) -> np.ndarray:
        """Softmax of the class in ``_labels``, or the sum over the classes of that group."""
        total, own, power = self._total, self._own, self._plane
        total.fill(0)
        own.fill(0 if rule.groups is not None else 1)
        for label in range(self._classes):
            self._power(label, rule.temperature, power)
            cv2.add(total, power, dst=total)
            if rule.groups is not None:
                np.equal(self._labels, rule.groups[label], out=self._chosen.view(np.bool_))
                cv2.add(own, power, dst=own, mask=self._chosen)
        return np.divide(own, total, out=own)

    def _power(self, label: int, temperature: float, out: np.ndarray) -> None:
        """exp((score − best) / T) of one class; upsampling again is cheaper than keeping all."""
        self._upsample(label, out)
        cv2.subtract(out, self._best, dst=out)
        if temperature != 1:  # of the difference: 0 stays 0, whatever the rounding
            np.multiply(out, np.float32(1 / temperature), out=out)
        cv2.exp(out, dst=out)

    def _drop_unlikely(self, rule: Rule, probability: np.ndarray) -> None:
        """Pixels below the threshold become unlabelled; what has no label is sure of nothing."""
        chosen = self._chosen.view(np.bool_)
        if rule.threshold > 0:
            np.less(probability, rule.threshold, out=chosen)
            np.copyto(self._labels, rule.unlabelled, where=chosen)
            np.copyto(probability, 0, where=chosen)
        np.equal(self._labels, UNLABELLED, out=chosen)
        np.copyto(probability, 0, where=chosen)
