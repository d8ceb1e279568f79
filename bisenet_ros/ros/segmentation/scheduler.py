"""Which frame is segmented, and when.

Time is cut into ticks of 1 / rate. In each tick a camera may have one frame segmented: the newest
that waits when the tick begins, or else the first that comes during the tick. So a camera that
runs at the node's own rate loses no frame to the phase between the two clocks, and the count of
inferences never gets ahead of ticks counted from a fixed origin, which cannot drift.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Frame = TypeVar("Frame")

NANO = 1_000_000_000


@dataclass
class _Slot(Generic[Frame]):
    """A camera's newest frame, and the last tick in which it was served."""

    frame: Frame | None = None
    served: int | None = None


class Scheduler(Generic[Frame]):
    """Keeps the newest frame of each camera and hands them out in batches.

    ``submit`` is called by the thread that receives, ``next_batch`` by the one that works.

    Args:
        cameras: their names.
        rate: ticks a second; 0 hands every frame out at once.
        now: the clock in nanoseconds.
        wall: whether ``now`` runs by itself. If not (sim time), call :meth:`wake` when it moves.
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

    def submit(self, camera: str, frame: Frame) -> bool:
        """Put a camera's newest frame; True if it superseded one that still waited."""
        with self._changed:
            slot = self._slots[camera]
            superseded = slot.frame is not None
            slot.frame = frame
            self._changed.notify()
        return superseded

    def next_batch(self, patience: float | None = None) -> list[tuple[str, Frame]]:
        """Wait for frames whose turn it is, and take them.

        Args:
            patience: seconds to wait at most; None waits until :meth:`stop`.

        Returns:
            One (camera, frame) for each camera whose turn it is; empty after :meth:`stop` or when
            patience ran out.
        """
        deadline = None if patience is None else time.monotonic() + patience
        with self._changed:
            while not self._stopped:
                batch = self._due()
                if batch:
                    return batch
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return []
                self._changed.wait(_sooner(left, self._until_tick()))
        return []

    def set_rate(self, rate: float) -> None:
        """Change the rate; the new ticks start now, and what was served counts as the first."""
        with self._changed:
            self._rate, self._origin = rate, self._now()
            for slot in self._slots.values():
                slot.served = None if slot.served is None else 0
            self._changed.notify()

    def wake(self) -> None:
        """Look at the clock again."""
        with self._changed:
            self._changed.notify()

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped

    def stop(self) -> None:
        """Make every ``next_batch``, now and later, return an empty list."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _tick(self) -> int:
        return int((self._now() - self._origin) * self._rate / NANO)

    def _due(self) -> list[tuple[str, Frame]]:
        tick = self._tick()
        batch = []
        for camera, slot in self._slots.items():
            # «Other than», not «later than»: after a clock that jumped back, frames go on.
            if slot.frame is not None and (not self._rate or slot.served != tick):
                batch.append((camera, slot.frame))
                slot.frame, slot.served = None, tick
        return batch

    def _until_tick(self) -> float | None:
        """Seconds to the next tick if a frame waits for one on a clock that runs by itself."""
        waiting = any(slot.frame is not None for slot in self._slots.values())
        if not waiting or not self._wall or not self._rate:
            return None
        at = self._origin + (self._tick() + 1) * NANO / self._rate
        return max(0.0, (at - self._now()) / NANO)


def _sooner(first: float | None, second: float | None) -> float | None:
    known = [seconds for seconds in (first, second) if seconds is not None]
    return min(known) if known else None
