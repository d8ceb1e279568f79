"""The difference between two models on the same frames, and how far chance could move it.

Neighbouring frames of a recording show much the same, so whole blocks of about a second are drawn
with replacement instead of frames: the block bootstrap (Künsch, "The jackknife and the bootstrap
for general stationary observations", Annals of Statistics 17, 1989; here with blocks that do not
overlap, after Carlstein, 1986). Both models are resampled together, which makes the comparison a
paired one. The interval is the percentile interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bisenet_ros.labels import UNLABELLED
from bisenet_ros.metrics.confusion import defined

RESAMPLES = 2000
BLOCK_S = 1.0
LEVEL = 0.95
_AT_ONCE = 1 << 22  # resampled block counts in hand at once: 32 MB, however long the recording is


@dataclass(frozen=True)
class Interval:
    """A difference, second model minus first, and the interval that holds it; NaN where undefined.

    Attributes:
        value: the difference over all frames, −1 to 1.
        low, high: the interval; NaN where there are fewer than two blocks.
    """

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether chance is an unlikely explanation of the difference."""
        return self.low > 0 or self.high < 0

    def figures(self) -> dict[str, float | bool | None]:
        """As JSON values."""
        return {
            "difference": defined(self.value),
            "low": defined(self.low),
            "high": defined(self.high),
            "excludes_zero": self.excludes_zero,
        }


@dataclass(frozen=True)
class PairedDifference:
    """The difference in mIoU and in each class's IoU, second model minus first."""

    miou: Interval
    per_class: list[Interval]
    frames: int
    blocks: int
    resamples: int
    level: float

    def figures(self, names: Sequence[str]) -> dict[str, Any]:
        """As JSON values."""
        return {
            "miou": self.miou.figures(),
            "per_class": {
                name: one.figures() for name, one in zip(names, self.per_class, strict=True)
            },
            "frames": self.frames,
            "blocks": self.blocks,
            "resamples": self.resamples,
            "level": self.level,
        }


def class_counts(confusion: np.ndarray) -> np.ndarray:
    """All that IoU needs of a confusion matrix (n, n) or (n, n + 1).

    Returns:
        (3, n) int64: each class's hits, true pixels, predicted pixels. Counts of several frames
        add up as their matrices do.
    """
    n = len(confusion)
    return np.stack([np.diagonal(confusion), confusion.sum(1), confusion.sum(0)[:n]])


def iou(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of class counts.

    Args:
        counts: (..., 3, n), as of :func:`class_counts`.

    Returns:
        (...) mean IoU over the classes that occur, and (..., n) IoU; NaN where undefined.
    """
    hits, truth, found = np.moveaxis(np.asarray(counts, np.float64), -2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        each = hits / (truth + found - hits)
        known = np.count_nonzero(~np.isnan(each), -1)
        return np.nansum(each, -1) / np.where(known, known, np.nan), each


def blocks(stamps_ns: np.ndarray, block_s: float = BLOCK_S) -> np.ndarray:
    """Cut a recording into blocks of time.

    Args:
        stamps_ns: (F,) int64 in the order recorded.
        block_s: how long a block lasts; a stamp that goes back begins a new one.

    Returns:
        (F,) int64: each frame's block, from 0 on.
    """
    numbers = np.zeros(len(stamps_ns), np.int64)
    length = round(block_s * 1e9)
    number, begin, before = -1, 0, 0
    for index, stamp in enumerate(np.asarray(stamps_ns).tolist()):
        if number < 0 or stamp < before or stamp - begin >= length:
            number, begin = number + 1, stamp
        numbers[index], before = number, stamp
    return numbers


def paired_difference(
    first: np.ndarray,
    second: np.ndarray,
    block: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> PairedDifference:
    """Compare two models on the same frames.

    Args:
        first, second: (F, 3, n) :func:`class_counts` of each frame.
        block: (F,) each frame's block, from 0 on without gaps, as of :func:`blocks`.
        resamples: how many times blocks are drawn.
        seed: what they are drawn by; the same seed gives the same interval.
        level: share of the resampled differences that the interval holds.
    """
    count = int(block.max()) + 1 if len(block) else 0
    n = first.shape[-1]
    summed = np.zeros((2, count, 3, n))  # sums below 2**53 are exact
    for model, counts in enumerate((first, second)):
        np.add.at(summed[model], block, counts)
    totals = [iou(model.sum(0)) for model in summed]
    drawn = _resampled(summed, resamples, seed)
    tails = [(1 - level) / 2, (1 + level) / 2]

    def interval(value: float, column: np.ndarray) -> Interval:
        known = column[~np.isnan(column)]
        if count < 2 or not len(known):
            return Interval(float(value), float("nan"), float("nan"))
        low, high = np.quantile(known, tails)
        return Interval(float(value), float(low), float(high))

    (first_mean, first_each), (second_mean, second_each) = totals
    each = second_each - first_each
    return PairedDifference(
        miou=interval(float(second_mean - first_mean), drawn[:, 0]),
        per_class=[interval(each[c], drawn[:, 1 + c]) for c in range(n)],
        frames=len(block),
        blocks=count,
        resamples=resamples,
        level=level,
    )


def _resampled(summed: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(resamples, 1 + n): differences in mIoU and in each IoU, of blocks drawn anew each time."""
    _, count, _, n = summed.shape
    drawn = np.full((resamples, 1 + n), np.nan)
    if count < 2:
        return drawn
    random = np.random.default_rng(seed)
    flat = summed.reshape(2, count, 3 * n)
    step = max(1, _AT_ONCE // count)
    for start in range(0, resamples, step):
        some = min(step, resamples - start)
        # How often each block is drawn is all that matters of which were drawn.
        times = random.multinomial(count, np.full(count, 1 / count), size=some).astype(np.float64)
        (first_mean, first), (second_mean, second) = (
            iou((times @ model).reshape(some, 3, n)) for model in flat
        )
        drawn[start : start + some, 0] = second_mean - first_mean
        drawn[start : start + some, 1:] = second - first
    return drawn


class ChangedPixels:
    """Counts labelled pixels that only one of two models gets right, exactly.

    Attributes:
        gained: (n,) int64 by true class: the first model wrong, the second right.
        lost: (n,) int64 by true class: the first model right, the second wrong.
    """

    def __init__(self, num_classes: int) -> None:
        self.gained = np.zeros(num_classes, np.int64)
        self.lost = np.zeros(num_classes, np.int64)

    def add(
        self, truth: np.ndarray, first: np.ndarray, second: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Count a frame: (H, W) uint8 ids each; truth's 255 is left out.

        Returns:
            This frame's gained and lost, (n,) int64 each.
        """
        labelled = truth != UNLABELLED
        was, now = first == truth, second == truth
        found = []
        for total, changed in ((self.gained, ~was & now), (self.lost, was & ~now)):
            counts = np.bincount(truth[labelled & changed], minlength=len(total))
            total += counts
            found.append(counts)
        return found[0], found[1]

    def figures(self, names: Sequence[str]) -> dict[str, Any]:
        """As JSON values."""
        return {
            "gained": int(self.gained.sum()),
            "lost": int(self.lost.sum()),
            "per_class": {
                name: {"gained": int(self.gained[i]), "lost": int(self.lost[i])}
                for i, name in enumerate(names)
            },
        }
