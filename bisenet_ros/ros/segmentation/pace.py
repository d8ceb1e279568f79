"""Whether there is time to prepare the next batch while the GPU computes one."""

from __future__ import annotations

from collections import deque
from statistics import median

REMEMBERED = 15  # batches
SEEN = 5  # batches before anything is concluded
MARGIN = 1.3  # by which preparing may take longer than it usually does


class Pace:
    """Typical times of the last batches, in seconds.

    One frame at a time, a mask is published as soon as it is there. That must stay so: preparing
    the next batch, which occupies the same thread, has to be over before the GPU is done.
    """

    def __init__(self) -> None:
        self._preparing: deque[float] = deque(maxlen=REMEMBERED)
        self._computing: deque[float] = deque(maxlen=REMEMBERED)
        self._whole: deque[float] = deque(maxlen=REMEMBERED)

    def add(self, preparing: float, computing: float) -> None:
        """A batch was decoded and handed over in ``preparing`` and computed in ``computing``."""
        self._preparing.append(preparing)
        self._computing.append(computing)

    def took(self, seconds: float) -> None:
        """A batch was published, so long after its frames were taken or the last one was done."""
        self._whole.append(seconds)

    def hurried(self, rate: float) -> bool:
        """Whether one batch at a time cannot keep up with ``rate`` in Hz; 0 is every frame."""
        return not rate or (bool(self._whole) and median(self._whole) * rate >= 1)

    def spare_s(self, elapsed: float) -> float:
        """Seconds for which another batch may still be waited for; 0 for none.

        Args:
            elapsed: since the batch under way was handed to the GPU.
        """
        if len(self._computing) < SEEN:
            return 0.0
        # Quick ones, since computing seems longer whenever it was looked at too late.
        computing = sorted(self._computing)[len(self._computing) // 4]
        return max(0.0, computing - elapsed - MARGIN * median(self._preparing))
