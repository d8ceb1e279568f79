"""Two things timed in turn, so that what disturbs one disturbs the other too."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class PairedTimes:
    """Milliseconds of two things, run in turn: A B A B …

    Attributes:
        first, second: one entry a pair.
    """

    first: list[float]
    second: list[float]

    @property
    def ratio(self) -> float:
        """The median over the pairs of first / second."""
        return median(a / b for a, b in zip(self.first, self.second, strict=True))

    @property
    def spread(self) -> tuple[float, float]:
        """The quarter points of first / second: a half of the pairs lies between them."""
        ratios = sorted(a / b for a, b in zip(self.first, self.second, strict=True))
        quarter = len(ratios) // 4
        return ratios[quarter], ratios[-1 - quarter]


def time_pairs(
    first: Callable[[int], object],
    second: Callable[[int], object],
    count: int,
    warm_up: int = 3,
) -> PairedTimes:
    """Run both in turn ``warm_up + count`` times; each is called with the number of the pair."""
    pairs = PairedTimes([], [])
    for index in range(-warm_up, count):
        times = [_time(first, max(index, 0)), _time(second, max(index, 0))]
        if index >= 0:
            pairs.first.append(times[0])
            pairs.second.append(times[1])
    return pairs


def _time(call: Callable[[int], object], index: int) -> float:
    started = time.perf_counter()
    call(index)
    return 1e3 * (time.perf_counter() - started)
