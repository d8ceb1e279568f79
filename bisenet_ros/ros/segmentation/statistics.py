"""Per-camera frame statistics: counters and sliding windows, thread-safe."""

from __future__ import annotations

import threading
from collections import Counter, deque

import numpy as np

from bisenet_ros.inference.result import STAGES

PROJECTIONS = ("ground", "points")  # computed after a mask was published
WINDOW = 5.0  # seconds covered by rates and percentiles
MAX_STEP = 2.0  # seconds between stamps; beyond it the camera paused or a bag restarted
MIN_STEPS = 8  # between stamps, needed to estimate a camera's period
DAY_S = 86_400.0  # an age beyond it means that stamps are from another clock
MAX_EVENTS = 4096  # kept per window; more than WINDOW seconds at any camera's rate
# Every received frame is in exactly one of the others but the last.
COUNTS = (
    "received",
    "published",
    "superseded",
    "rejected",
    "failed",
    "dropped",
    "pending",
    "deadline_misses",
)


class Window:
    """Values with the time they were seen, for the last ``WINDOW`` seconds of a clock.

    The window is cleared if the clock jumps back, since its events then lie in the future.
    """

    def __init__(self, started: float) -> None:
        self._events: deque[tuple[float, float]] = deque(maxlen=MAX_EVENTS)
        self._started = started

    def add(self, now: float, value: float = 0.0) -> None:
        """Record ``value`` at ``now`` seconds."""
        self._forget(now)
        self._events.append((now, value))

    def rate(self, now: float) -> float:
        """Events per second, over the window or since the start, whichever is shorter."""
        self._forget(now)
        span = min(WINDOW, now - self._started)
        return len(self._events) / span if span > 0 else 0.0

    def percentiles(self, now: float, *points: float) -> list[float]:
        """Percentiles of the values; NaN if there are none."""
        self._forget(now)
        if not self._events:
            return [float("nan")] * len(points)
        return [float(p) for p in np.percentile([value for _, value in self._events], points)]

    def values(self, now: float) -> list[float]:
        """The values, oldest first."""
        self._forget(now)
        return [value for _, value in self._events]

    def _forget(self, now: float) -> None:
        if now < self._started or (self._events and now < self._events[-1][0]):
            self._events.clear()
            self._started = now
        while self._events and self._events[0][0] <= now - WINDOW:
            self._events.popleft()


class CameraStatistics:
    """Counters and windows of one camera. Times are in seconds on the node's clock."""

    def __init__(self, now: float) -> None:
        self._lock = threading.Lock()
        self._inputs, self._outputs, self._ages = Window(now), Window(now), Window(now)
        self._steps = Window(now)
        self._last_stamp = 0.0
        self._stages = {stage: Window(now) for stage in ("wait", *STAGES)}
        self._projections = {name: Window(now) for name in PROJECTIONS}
        self.counts: Counter[str] = Counter()
        self.last_reject_reason = ""
        self.last_input: float | None = None
        self.clock_offset = 0.0  # seconds, of the latest age if that is more than a day; else 0

    def received(self, now: float, stamp: float = 0.0) -> None:
        """A message arrived, valid or not; ``stamp`` is its header stamp in seconds, 0 if unset."""
        with self._lock:
            self.counts["received"] += 1
            self.counts["pending"] += 1
            self._inputs.add(now)
            self.last_input = now
            step = stamp - self._last_stamp
            if self._last_stamp and 0 < step < MAX_STEP:
                self._steps.add(now, step)
            self._last_stamp = stamp

    def lost_share(self, now: float) -> float:
        """Fraction of the camera's recent frames that did not arrive, 0–1, judged by their stamps.

        The camera's period is the 10th percentile of the steps; a step of k periods means k − 1
        lost frames. With too few or irregular stamps, no loss is reported.
        """
        with self._lock:
            steps = np.array(self._steps.values(now))
        if steps.size < MIN_STEPS:
            return 0.0
        period = float(np.percentile(steps, 10))
        missing = np.rint(steps / period) - 1
        regular = np.abs(steps / period - np.rint(steps / period)) < 0.25
        if regular.mean() < 0.8:
            return 0.0
        # Steps of less than half a period make up for longer ones: jitter, not a gain of frames.
        lost = max(0.0, float(missing.sum()))
        return lost / (lost + steps.size)

    def superseded(self) -> None:
        """A newer frame replaced a pending one."""
        self._settle("superseded")

    def rejected(self, reason: str) -> None:
        """A message was rejected."""
        self._settle("rejected")
        self.last_reject_reason = reason

    def failed(self) -> None:
        """A frame was lost to an error inside the model."""
        self._settle("failed")

    def dropped(self) -> None:
        """A frame was not segmented because the node is disabled or being deactivated."""
        self._settle("dropped")

    def _settle(self, outcome: str) -> None:
        """Move one frame from pending to its outcome, so that the sum always holds."""
        with self._lock:
            self.counts[outcome] += 1
            self.counts["pending"] -= 1

    def published(
        self, now: float, age: float | None, stages: dict[str, float], late: bool
    ) -> None:
        """A mask was published.

        Args:
            now: seconds of the node's clock.
            age: seconds from the frame's stamp to now; None if the frame has no stamp. More than
                a day means that the stamps are from another clock; it is not an age then.
            stages: milliseconds spent in ``wait`` (from callback to worker) and each of ``STAGES``.
            late: whether the frame took longer than a period.
        """
        with self._lock:
            self.counts["published"] += 1
            self.counts["pending"] -= 1
            self.counts["deadline_misses"] += late
            self._outputs.add(now)
            foreign = age is not None and abs(age) > DAY_S
            self.clock_offset = age if foreign and age is not None else 0.0
            if age is not None and not foreign:
                self._ages.add(now, 1e3 * age)
            for stage, milliseconds in stages.items():
                self._stages[stage].add(now, milliseconds)

    def projected(self, name: str, now: float, milliseconds: float) -> None:
        """One of ``PROJECTIONS`` was published, and took this long."""
        with self._lock:
            self._projections[name].add(now, milliseconds)

    def report(self, now: float) -> dict[str, float]:
        """Rates in frames per second, ages and stage times in milliseconds, counters."""
        with self._lock:
            if self.last_input is not None and self.last_input > now:
                self.last_input = now  # the clock jumped back: measure silence from here
            ages = self._ages.percentiles(now, 50, 95, 99)
            rates = {"input_fps": self._inputs.rate(now), "output_fps": self._outputs.rate(now)}
            return {
                **rates,
                **{name: self.counts[name] for name in COUNTS},
                **{f"frame_age_ms_p{p}": age for p, age in zip((50, 95, 99), ages, strict=True)},
                **{
                    f"{name}_ms_p50": window.percentiles(now, 50)[0]
                    for name, window in (*self._stages.items(), *self._projections.items())
                },
            }
