"""Times two functions alternately, so that disturbances affect both alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class PairedTimes:
    """Milliseconds of two functions that ran alternately: A B A B …

    Attributes:
        first, second: one entry per pair.
    """

    first: list[float]
    second: list[float]

    @property
    def ratio(self) -> float:
        """The median of first / second over the pairs."""
        return median(a / b for a, b in zip(self.first, self.second, strict=True))

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles of first / second: half of the pairs lie between them."""
        ratios = sorted(a / b for a, b in zip(self.first, self.second, strict=True))
        quarter = len(ratios) // 4
        return ratios[quarter], ratios[-1 - quarter]


def time_pairs(
    first: Callable[[int], object],
    second: Callable[[int], object],
    count: int,
    warm_up: int = 3,
) -> PairedTimes:
    """Run both alternately ``warm_up + count`` times; each is called with the pair's index."""
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
