"""A hot robot keeps its rate and gives up resolution: when to step down, when to step up again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from bisenet_ros.inference import Segmenter

STEPS = (1.0, 0.75, 0.5)  # of both sides of the network's input
FEWEST = 10  # batches before anything is decided
NEWEST = 30  # batches a decision looks at
ROOM = 0.8  # share of the period that the larger size may be expected to take
CALM = 5.0  # seconds that it must have looked so, before it is tried
LONGEST_CALM = 80.0  # a try that failed doubles the wait, up to this


class ResolutionController:
    """Chooses one of ``sizes`` from the time that batches take.

    Steps down as soon as the 95th percentile lies above the period. Steps up when the larger size,
    taken to cost what its pixels do, has looked as if it fitted for a while; each step up that had
    to be taken back doubles that while.

    Args:
        sizes: (height, width) of the network's input, the largest first.
    """

    def __init__(self, sizes: list[tuple[int, int]]) -> None:
        self.sizes = sizes
        self.index = 0
        self._times: deque[float] = deque(maxlen=NEWEST)
        self._calm_since: float | None = None
        self._calm = CALM
        self._went_up: float | None = None

    def note(self, now: float, seconds: float, period: float) -> bool:
        """Note a batch; True if the size changes for the next one.

        Args:
            now: seconds on any clock that does not jump.
            seconds: that the batch took from its frames to their publishing.
            period: seconds between two ticks; 0 keeps the size, as there is no rate to hold.
        """
        self._times.append(seconds)
        if not period or len(self._times) < FEWEST:
            return False
        usual = float(np.percentile(self._times, 95))
        if usual > period:
            return self._down(now)
        return self._up(now, usual, period)

    def _down(self, now: float) -> bool:
        self._calm_since = None
        if self.index + 1 == len(self.sizes):
            return False
        if self._went_up is not None and now - self._went_up < 2 * self._calm:
            self._calm = min(LONGEST_CALM, 2 * self._calm)
        self._move(self.index + 1)
        return True

    def _up(self, now: float, usual: float, period: float) -> bool:
        if self.index == 0:
            return False
        if usual * self._growth() > ROOM * period:
            self._calm_since = None
            return False
        if self._calm_since is None:
            self._calm_since = now
        if now - self._calm_since < self._calm:
            return False
        self._went_up = now
        self._move(self.index - 1)
        return True

    def _growth(self) -> float:
        """How many times the pixels of this size the next larger one has."""
        (height, width), (taller, wider) = self.sizes[self.index], self.sizes[self.index - 1]
        return taller * wider / (height * width)

    def _move(self, index: int) -> None:
        self.index = index
        self._times.clear()
        self._calm_since = None


@dataclass(frozen=True)
class Models:
    """One model at each size of a ladder; exchanged as a whole, so that the two always fit."""

    models: list[Segmenter]
    ladder: ResolutionController

    @property
    def current(self) -> Segmenter:
        """The one at the size in force."""
        return self.models[self.ladder.index]


def resolution_steps(size: tuple[int, int], multiple: int = 32) -> list[tuple[int, int]]:
    """The steps of a (height, width), rounded to multiples of ``multiple``, without repetition."""
    sizes: list[tuple[int, int]] = []
    for step in STEPS:
        height, width = (max(multiple, round(s * step / multiple) * multiple) for s in size)
        chosen = size if step == 1.0 else (height, width)
        if chosen not in sizes:
            sizes.append(chosen)
    return sizes
