"""When each frame is due, and which header stamp it gets."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MAX_SHIFTS = 1000  # frames whose stamp shift is kept for messages recorded after them


@dataclass(frozen=True)
class Due:
    """When a frame is due, and its stamp.

    Attributes:
        at_ns: time on the monotonic clock.
        stamp_ns: header stamp of the frame.
        late_ns: how far the schedule was shifted because the previous frame took too long.
    """

    at_ns: int
    stamp_ns: int
    late_ns: int = 0


class Schedule:
    """Deadlines on an absolute grid, so that small delays never accumulate.

    A frame more than a period late shifts the rest of the schedule: it is never skipped, and
    later frames never come in a burst. A frame whose stamp does not increase (the source
    restarted, or its clock was set back) is due one period after the previous one.

    Args:
        rate: frames per second; None: as recorded.
        fresh: whether frames are stamped with the wall time they are due; else with their own.
        period_ns: time between frames until two have been seen.
        now, wall: the clocks, in ns; replaced in tests.
        factor: how much faster than recorded, without a rate.
    """

    def __init__(
        self,
        rate: float | None,
        fresh: bool,
        period_ns: int,
        now: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], int] = time.time_ns,
        factor: float = 1.0,
    ) -> None:
        self._factor = factor
        self._rate, self._fresh, self._now = rate, fresh, now
        self._period = round(period_ns / factor) if rate is None else round(1e9 / rate)
        self._wall_offset = wall() - now()
        self._at: int | None = None
        self._recorded = 0
        self._anchor = (0, 0, 0)  # deadline, recorded stamp, frames since then
        self._shifts: OrderedDict[int, int] = OrderedDict()
        self._shift = 0

    def due(self, recorded_ns: int) -> Due:
        """When the next frame, recorded at ``recorded_ns``, is due."""
        now = self._now()
        at = now if self._at is None else self._deadline(recorded_ns)
        late = max(0, now - at)
        if self._at is None or late > self._period:
            at = now
            self._anchor = (at, recorded_ns, 0)
        else:
            late = 0
        self._at, self._recorded = at, recorded_ns
        stamp = at + self._wall_offset if self._fresh else recorded_ns
        self.remember(recorded_ns, stamp - recorded_ns)
        return Due(at, stamp, late)

    def stamp(self, recorded_ns: int) -> int:
        """The stamp of an accompanying message: that of its frame, or shifted like the last one."""
        return recorded_ns + self._shifts.get(recorded_ns, self._shift)

    def _deadline(self, recorded_ns: int) -> int:
        anchor, anchor_recorded, count = self._anchor
        assert self._at is not None
        if self._rate is not None:
            self._anchor = (anchor, anchor_recorded, count + 1)
            return anchor + round((count + 1) * 1e9 / self._rate)
        if recorded_ns <= self._recorded:
            at = self._at + self._period
            self._anchor = (at, recorded_ns, 0)
            return at
        self._period = round((recorded_ns - self._recorded) / self._factor)
        return anchor + round((recorded_ns - anchor_recorded) / self._factor)

    def remember(self, recorded_ns: int, shift: int) -> None:
        """Note by how much a frame's stamp was shifted, for the messages that go with it."""
        self._shift = shift
        self._shifts[recorded_ns] = shift
        self._shifts.move_to_end(recorded_ns)
        if len(self._shifts) > MAX_SHIFTS:
            self._shifts.popitem(last=False)
