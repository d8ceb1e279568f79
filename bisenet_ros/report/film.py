"""Writes a video frame by frame, in a thread of its own, while a recording is being processed."""

from __future__ import annotations

import os
import queue
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.report.video import write_video

WAITING = 4  # frames in front of the encoder
SMALLEST_SIDE = 16  # pixels; the encoder accepts nothing smaller
LONGEST_PAUSE_S = 2.0  # longer gaps between stamps are shortened to this
PRESET = "ultrafast"  # x264's; the network needs the processor, files are a third larger
KEYFRAMES = 30  # reports seek in the video
RATES = (1.0, 60.0)  # Hz; lowest and highest rate of a video


class Film:
    """An MP4 that appears, whole, when the ``with`` block ends without an error.

    Frames are shown at the times of their stamps, rounded to the video's frame rate. Stamps that
    repeat or go back are shown one period after the frame before. A frame of another size than
    the first is resized to that size.

    Args:
        path: of the file.
        rate: frames per second; clipped to ``RATES``.
        widest: larger frames are shrunk to this width in pixels; None keeps them.

    Attributes:
        frames: how many were added.
        times: seconds at which each added frame is shown.
        rate: frames per second of the video.
    """

    def __init__(self, path: Path, rate: float, widest: int | None = None) -> None:
        self.path = path
        self.rate = min(max(rate, RATES[0]), RATES[1])
        self.widest = widest
        self.times: list[float] = []
        self._size: tuple[int, int] | None = None
        self._last: tuple[int, int] | None = None  # number in the video, stamp
        self._error: BaseException | None = None
        self._queue: queue.Queue[tuple[int, np.ndarray] | None] = queue.Queue(WAITING)
        self._part = Path()
        self._thread = threading.Thread(target=self._encode, name="film", daemon=True)

    @property
    def frames(self) -> int:
        """How many frames were added."""
        return len(self.times)

    def __enter__(self) -> Film:
        try:
            # The suffix tells the container format.
            handle, part = tempfile.mkstemp(
                dir=self.path.parent, prefix=f".{self.path.stem}-", suffix=self.path.suffix
            )
        except OSError as error:
            raise self._unwritable(error) from error
        os.close(handle)
        self._part = Path(part)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._queue.put(None)
            self._thread.join()
            if error is None:
                if self._error is not None and self.frames:
                    raise self._unwritable(self._error) from self._error
                if self.frames:
                    os.chmod(self._part, 0o644)  # mkstemp's are readable by their owner only
                    os.replace(self._part, self.path)
        finally:
            self._part.unlink(missing_ok=True)

    def add(self, stamp_ns: int, rgb: np.ndarray) -> None:
        """Add the next frame: (H, W, 3) uint8 RGB; kept until it is encoded.

        Raises:
            DataError: the file cannot be written; the disk may be full.
        """
        if self._error is not None:
            raise self._unwritable(self._error) from self._error
        number = self._number(stamp_ns)
        self._last = (number, stamp_ns)
        self.times.append(number / self.rate)
        self._queue.put((number, self._sized(rgb)))

    def _number(self, stamp_ns: int) -> int:
        if self._last is None:
            return 0
        number, last_ns = self._last
        pause = min((stamp_ns - last_ns) / 1e9, LONGEST_PAUSE_S)
        return number + max(1, round(pause * self.rate))

    def _sized(self, rgb: np.ndarray) -> np.ndarray:
        height, width = rgb.shape[:2]
        if self._size is None:
            scale = 1.0 if self.widest is None else min(1.0, self.widest / width)
            sides = (round(side * scale) // 2 * 2 for side in (width, height))
            self._size = tuple(max(side, SMALLEST_SIDE) for side in sides)  # type: ignore[assignment]
        assert self._size is not None
        if (width, height) == self._size:
            return rgb
        if (width // 2 * 2, height // 2 * 2) == self._size:  # cut an odd last row or column
            return rgb[: self._size[1], : self._size[0]]
        way = cv2.INTER_AREA if width > self._size[0] else cv2.INTER_LINEAR
        return cv2.resize(rgb, self._size, interpolation=way)

    def _encode(self) -> None:
        frames = _Taken(self._queue)
        try:
            write_video(self._part, frames, self.rate, PRESET, KEYFRAMES, threads=1)
        except BaseException as error:  # reported in the thread that adds frames
            self._error = error
            for _ in frames:  # add() must not wait for a full queue
                pass

    def _unwritable(self, error: BaseException) -> DataError:
        reason = getattr(error, "strerror", None) or str(error)
        return DataError(f"{self.path} cannot be written: {reason}; make room, or name another")


class _Taken(Iterator[tuple[int, np.ndarray]]):
    """Items of a queue up to its None."""

    def __init__(self, items: queue.Queue[Any]) -> None:
        self._items = items
        self.ended = False

    def __next__(self) -> tuple[int, np.ndarray]:
        if self.ended:
            raise StopIteration
        item = self._items.get()
        if item is None:
            self.ended = True
            raise StopIteration
        return item
