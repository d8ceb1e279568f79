"""Pairs each segmented frame with the depth image nearest in time; knows no ROS."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Frame = TypeVar("Frame")
Depth = TypeVar("Depth")

DEPTHS = 8  # depth images kept
FRAMES = 4  # frames that wait for theirs
MAX_STEP_BACK_NS = 10**9  # a depth image that is older than the newest by more: a bag restarted


class Pairing(Generic[Frame, Depth]):
    """Bounded queues of frames and depth images; thread-safe.

    A frame waits until a depth image of its stamp or a later one has arrived, as then no nearer one
    can follow, or until ``FRAMES`` newer frames wait too.

    Attributes:
        unpaired: frames without a depth image close enough.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depths: deque[tuple[int, Depth]] = deque(maxlen=DEPTHS)
        self._frames: deque[tuple[int, Frame]] = deque()
        self.unpaired = 0

    def add_depth(self, stamp: int, depth: Depth) -> None:
        """A depth image, its stamp in nanoseconds; the oldest is dropped."""
        with self._lock:
            if self._depths and stamp < self._depths[-1][0] - MAX_STEP_BACK_NS:
                self._depths.clear()
            self._depths.append((stamp, depth))

    def add_frame(self, stamp: int, frame: Frame) -> None:
        """A segmented frame, its stamp in nanoseconds."""
        with self._lock:
            self._frames.append((stamp, frame))

    def take(self, max_dt: int) -> tuple[list[tuple[Frame, Depth]], int]:
        """Frames whose depth image is decided.

        Args:
            max_dt: nanoseconds between the two stamps.

        Returns:
            (frame, depth image) in the order of the frames, and how many frames got none.
        """
        pairs: list[tuple[Frame, Depth]] = []
        unpaired = 0
        with self._lock:
            waiting: deque[tuple[int, Frame]] = deque()
            for index, (stamp, frame) in enumerate(self._frames):
                close = [(abs(at - stamp), at, depth) for at, depth in self._depths]
                overdue = len(self._frames) - index > FRAMES
                if not overdue and not any(at >= stamp for _, at, _ in close):
                    waiting.append((stamp, frame))
                    continue
                apart, _, depth = min(close, key=lambda one: one[0], default=(max_dt + 1, 0, None))
                if depth is not None and apart <= max_dt:
                    pairs.append((frame, depth))
                else:
                    unpaired += 1
            self._frames = waiting
            self.unpaired += unpaired
        return pairs, unpaired

    def clear(self) -> None:
        """Forget what waits, uncounted: nobody wants it any more."""
        with self._lock:
            self._depths.clear()
            self._frames.clear()
