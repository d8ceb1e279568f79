"""Decides which frame is segmented, and when.

Time is divided into ticks of 1 / rate. In each tick one frame per camera may be segmented: the
newest one pending when the tick begins, or else the first to arrive during the tick. So a camera
running at the node's rate loses no frame to the phase between the two clocks, and the number of
inferences never exceeds the ticks counted from a fixed origin, which cannot drift.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Frame = TypeVar("Frame")

NANO = 1_000_000_000
MAX_WAIT_S = 1.0  # so that no rate and no clock can make the worker wait for ever
STALLED_S = 0.5  # wall seconds without a newer clock or frame after which a recording has ended


@dataclass
class _Slot(Generic[Frame]):
    """A camera's pending frame, and the last tick in which one of its frames was served."""

    frame: Frame | None = None
    since: float = 0.0  # wall time of its arrival
    served: int | None = None


class Scheduler(Generic[Frame]):
    """Keeps the newest frame of each camera and hands them out in batches.

    ``submit`` is called by the receiving thread, ``next_batch`` by the worker.

    Args:
        cameras: their names.
        rate: ticks per second; 0 hands out every frame immediately.
        now: the clock in nanoseconds.
        wall: whether ``now`` advances by itself. If not (sim time), call :meth:`wake` when it does.
    """

    def __init__(
        self,
        cameras: list[str],
        rate: float,
        now: Callable[[], int] = time.monotonic_ns,
        wall: bool = True,
    ) -> None:
        self._slots: dict[str, _Slot[Frame]] = {camera: _Slot() for camera in cameras}
        self._now, self._wall = now, wall
        self._changed = threading.Condition()
        self._stopped = False
        self._rate = rate
        self._origin = now()
        self._clock_changed = (self._origin, time.monotonic())

    def submit(self, camera: str, frame: Frame) -> bool:
        """Store a camera's newest frame; True if it superseded a pending one."""
        with self._changed:
            slot = self._slots[camera]
            superseded = slot.frame is not None
            slot.frame, slot.since = frame, time.monotonic()
            self._changed.notify()
        return superseded

    def next_batch(self, timeout_s: float | None = None) -> list[tuple[str, Frame]]:
        """Wait for due frames and take them.

        Args:
            timeout_s: maximum wait in seconds; None waits until :meth:`stop`.

        Returns:
            One (camera, frame) per camera with a due frame; empty after :meth:`stop` or on
            timeout.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._stopped:
                batch = self._due()
                if batch:
                    return batch
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return []
                self._changed.wait(_minimum(left, self._until_tick(), MAX_WAIT_S))
        return []

    def set_rate(self, rate: float) -> None:
        """Change the rate; ticks restart now, and frames already served count for the first."""
        with self._changed:
            self._rate, self._origin = rate, self._now()
            for slot in self._slots.values():
                slot.served = None if slot.served is None else 0
            self._changed.notify()

    def wake(self) -> None:
        """Check the clock again."""
        with self._changed:
            self._changed.notify()

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped

    def drain(self) -> list[str]:
        """Forget the pending frames; the names of their cameras."""
        with self._changed:
            cameras = [name for name, slot in self._slots.items() if slot.frame is not None]
            for name in cameras:
                self._slots[name].frame = None
            return cameras

    def stop(self) -> None:
        """Make every ``next_batch``, now and later, return an empty list."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _tick(self) -> int:
        return int((self._now() - self._origin) * self._rate / NANO)

    def _due(self) -> list[tuple[str, Frame]]:
        tick, ended = self._tick(), time.monotonic() - STALLED_S
        stood_since = self._clock_stood_since()
        batch = []
        for camera, slot in self._slots.items():
            last = max(slot.since, stood_since) <= ended
            # `!=`, not `<`: frames must keep flowing after the clock has jumped back.
            if slot.frame is not None and (not self._rate or last or slot.served != tick):
                batch.append((camera, slot.frame))
                slot.frame, slot.served = None, tick
        return batch

    def _clock_stood_since(self) -> float:
        """Wall time since which the clock has stood still.

        Sim time stops with its recording, and then no tick comes for the last frame: it is served
        when neither clock nor frames have come for a while. While frames come, they wait.
        """
        now = self._now()
        if self._wall or now != self._clock_changed[0]:
            self._clock_changed = (now, time.monotonic())
        return self._clock_changed[1]

    def _until_tick(self) -> float | None:
        """Seconds to the next look at the clock if a frame is pending."""
        waiting = any(slot.frame is not None for slot in self._slots.values())
        if not waiting or not self._rate:
            return None
        if not self._wall:
            return STALLED_S
        at = self._origin + (self._tick() + 1) * NANO / self._rate
        return max(0.0, (at - self._now()) / NANO)


def _minimum(*seconds: float | None) -> float:
    return min(value for value in seconds if value is not None)
