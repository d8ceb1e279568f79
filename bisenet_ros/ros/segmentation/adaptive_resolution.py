"""Lowers the input resolution when the target rate cannot be met, and raises it again later."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from bisenet_ros.inference import Segmenter
from bisenet_ros.label_map import LabelMap
from bisenet_ros.labels import LabelSet

STEPS = (1.0, 0.75, 0.5)  # of both sides of the network's input
MIN_BATCHES = 10  # before any decision
MAX_BATCHES = 30  # that a decision considers
HEADROOM = 0.8  # fraction of the period that the larger size may be expected to take
STEP_UP_DELAY_S = 5.0  # seconds that the larger size must appear to fit before it is tried
MAX_STEP_UP_DELAY_S = 80.0  # every failed attempt doubles the delay, up to this


class ResolutionController:
    """Chooses one of ``sizes`` from the time that batches take.

    Steps down as soon as the 95th percentile exceeds the period. Steps up when the larger size,
    its cost assumed proportional to its pixels, has appeared to fit for a while; each step up
    that had to be reverted doubles that delay.

    Args:
        sizes: (height, width) of the network's input, largest first.
    """

    def __init__(self, sizes: list[tuple[int, int]]) -> None:
        self.sizes = sizes
        self.index = 0
        self._times: deque[float] = deque(maxlen=MAX_BATCHES)
        self._fits_since: float | None = None
        self._delay = STEP_UP_DELAY_S
        self._stepped_up_at: float | None = None

    def add_batch(self, now: float, seconds: float, period: float) -> bool:
        """Record a batch's time; True if the size changes for the next one.

        Args:
            now: seconds on any clock that does not jump.
            seconds: duration of the batch, from taking its frames to publishing.
            period: seconds between two ticks; 0 keeps the size, as there is no target rate.
        """
        self._times.append(seconds)
        if not period or len(self._times) < MIN_BATCHES:
            return False
        p95 = float(np.percentile(self._times, 95))
        if p95 > period:
            return self._down(now)
        return self._up(now, p95, period)

    def _down(self, now: float) -> bool:
        self._fits_since = None
        if self.index + 1 == len(self.sizes):
            return False
        if self._stepped_up_at is not None and now - self._stepped_up_at < 2 * self._delay:
            self._delay = min(MAX_STEP_UP_DELAY_S, 2 * self._delay)
        self._move(self.index + 1)
        return True

    def _up(self, now: float, p95: float, period: float) -> bool:
        if self.index == 0:
            return False
        if p95 * self._pixel_ratio() > HEADROOM * period:
            self._fits_since = None
            return False
        if self._fits_since is None:
            self._fits_since = now
        if now - self._fits_since < self._delay:
            return False
        self._stepped_up_at = now
        self._move(self.index - 1)
        return True

    def _pixel_ratio(self) -> float:
        """Pixels of the next larger size divided by those of the current one."""
        (height, width), (taller, wider) = self.sizes[self.index], self.sizes[self.index - 1]
        return taller * wider / (height * width)

    def _move(self, index: int) -> None:
        self.index = index
        self._times.clear()
        self._fits_since = None


@dataclass(frozen=True)
class Models:
    """One model per size of the controller, and the label map that was read for their classes.

    Replaced as a unit, so that all of it always matches.
    """

    models: list[Segmenter]
    controller: ResolutionController
    label_map: LabelMap | None = None

    @property
    def current(self) -> Segmenter:
        """The model at the current size."""
        return self.models[self.controller.index]

    @property
    def labels(self) -> LabelSet:
        """What the ids of the masks mean."""
        return self.models[0].labels if self.label_map is None else self.label_map.labels


def resolution_steps(size: tuple[int, int], multiple: int = 32) -> list[tuple[int, int]]:
    """The sizes for a (height, width), rounded to multiples of ``multiple``, without duplicates."""
    sizes: list[tuple[int, int]] = []
    for step in STEPS:
        height, width = (max(multiple, round(s * step / multiple) * multiple) for s in size)
        chosen = size if step == 1.0 else (height, width)
        if chosen not in sizes:
            sizes.append(chosen)
    return sizes
