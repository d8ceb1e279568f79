"""Frames of any recording, decoded ahead of those who use them.

A source gives encoded frames in the order recorded; :func:`read_frames` chooses among them and
decodes them in threads. Damaged frames are counted and left out; memory does not grow.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.inference.image_encodings import Pixels
from bisenet_ros.recordings.image_messages import BrokenMessage
from bisenet_ros.recordings.prefetch import prefetch

WORKERS = 2  # threads that decode; JPEG of a camera takes a few milliseconds
AHEAD = 6  # frames in hand, decoded or being decoded
_KEPT_REASONS = 20  # kinds of damage that are told apart


@dataclass(frozen=True, eq=False)
class EncodedFrame:
    """A frame that is not decoded yet.

    Attributes:
        index: its number in the recording, from 0; broken and skipped frames count.
        stamp_ns: when it was taken, in ns.
        load: gives the camera image; BrokenMessage if it cannot be decoded.
        load_truth: gives its class ids at the image's (height, width); BrokenMessage if they
            cannot be decoded, DataError if they do not fit the model. None without a label.
        name: what to call it, such as its file's name; empty where it has only a stamp.
        log_ns: when it was recorded, in ns; None where that is not known.
        frame_id: the coordinate frame it was taken in; empty where that is not known.
    """

    index: int
    stamp_ns: int
    load: Callable[[], Pixels]
    load_truth: Callable[[tuple[int, int]], np.ndarray] | None = None
    name: str = ""
    log_ns: int | None = None
    frame_id: str = ""


@dataclass(frozen=True, eq=False)
class RecordedFrame:
    """A decoded frame.

    Attributes:
        index, stamp_ns, name, log_ns, frame_id: as of :class:`EncodedFrame`.
        image: (H, W, 3) uint8.
        order: of its channels, ``rgb`` or ``bgr``.
        truth: (H, W) uint8 class ids, 255 unlabelled; None without a label.
        decode_ms: how long decoding took, label included.
    """

    index: int
    stamp_ns: int
    image: np.ndarray
    order: str
    truth: np.ndarray | None = None
    decode_ms: float = 0.0
    name: str = ""
    log_ns: int | None = None
    frame_id: str = ""

    @property
    def rgb(self) -> np.ndarray:
        """The camera image, (H, W, 3) uint8 RGB; converted at each call where it is BGR."""
        if self.order == "rgb":
            return self.image
        return cv2.cvtColor(self.image, cv2.COLOR_BGR2RGB)


class ReadingNotes:
    """What was odd about a recording, counted; safe across threads.

    Attributes:
        counts: how often something happened, by its name.
        reasons: what was wrong with broken images and labels.
        warnings: sentences for people, each once.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.warnings: list[str] = []
        self._lock = threading.Lock()

    def count(self, what: str, number: int = 1) -> None:
        """Count something."""
        with self._lock:
            self.counts[what] += number

    def broken(self, what: str, reason: str) -> None:
        """Count a broken image or label."""
        with self._lock:
            self.counts[what] += 1
            if reason in self.reasons or len(self.reasons) < _KEPT_REASONS:
                self.reasons[reason] += 1

    def warn(self, text: str) -> None:
        """Say something once."""
        with self._lock:
            if text not in self.warnings:
                self.warnings.append(text)

    def figures(self) -> dict[str, Any]:
        """As JSON values."""
        with self._lock:
            return {
                "counts": dict(sorted(self.counts.items())),
                "reasons": dict(self.reasons),
                "warnings": list(self.warnings),
            }


class FrameSource(Protocol):
    """A recording, or something like it, that frames can be read from.

    Attributes:
        name: what the user called it.
        kind: ``bag``, ``video``, ``images`` or ``webcam``.
        expected: how many frames it has; None where nobody knows.
        seconds: how long it is by its own account; None where nobody knows.
        timed: whether its stamps say when frames were taken, so that neighbours are neighbours.
        live: whether frames come in their own time, and cannot be read again.
        notes: what was odd so far.
    """

    name: str
    kind: str
    expected: int | None
    seconds: float | None
    timed: bool
    live: bool
    notes: ReadingNotes

    def encoded(self) -> Iterator[EncodedFrame]:
        """All frames from the first one on; close the iterator if it is left early."""

    def facts(self) -> dict[str, Any]:
        """What it is, as JSON values, for reports."""

    def close(self) -> None:
        """Let go of files and devices."""


@dataclass(frozen=True)
class Selection:
    """Which frames of a source are read.

    Attributes:
        every: each so many-th frame, from the first one on.
        start_s, duration_s: seconds of the stamps after the first frame's; None for the rest.
        limit: at most so many frames; None for all.
    """

    every: int = 1
    start_s: float = 0.0
    duration_s: float | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        for name, value, least in (
            ("every", self.every, 1),
            ("start", self.start_s, 0),
            ("duration", self.duration_s, 0),
            ("limit", self.limit, 1),
        ):
            if value is not None and not value >= least:
                raise ArgumentError(f"--{name} is {value}; expected at least {least}")

    def of(self, frames: Iterator[EncodedFrame]) -> Generator[EncodedFrame, None, None]:
        """The frames that are chosen."""
        begin = round(self.start_s * 1e9)
        end = None if self.duration_s is None else begin + round(self.duration_s * 1e9)
        origin: int | None = None
        met = taken = 0
        for frame in frames:
            origin = frame.stamp_ns if origin is None else origin
            passed = frame.stamp_ns - origin
            if end is not None and passed >= end:
                return
            if begin and passed < begin:  # stamps may go back behind the first one's
                continue
            if met % self.every == 0:
                taken += 1
                yield frame
                if taken == self.limit:
                    return
            met += 1

    def expected(self, source: FrameSource) -> int | None:
        """About how many frames will come, for progress; None where nobody knows."""
        count = source.expected
        if count is None:
            return self.limit
        if source.seconds and (self.start_s or self.duration_s is not None):
            left = max(0.0, source.seconds - self.start_s)
            part = left if self.duration_s is None else min(left, self.duration_s)
            count = round(count * min(1.0, part / source.seconds))
        count = -(-count // self.every)
        return count if self.limit is None else min(count, self.limit)


def read_frames(
    source: FrameSource,
    selection: Selection | None = None,
    workers: int = WORKERS,
    ahead: int = AHEAD,
) -> Generator[RecordedFrame, None, None]:
    """Decoded frames in the order recorded; at most ``ahead`` are in hand.

    Broken frames are left out and broken labels are None; both are counted in ``source.notes``,
    as are stamps that repeat or jump back.

    Raises:
        DataError: the source fails, or a label does not fit the model, where its frame would come.
    """
    chosen = (selection or Selection()).of(_watched(source.encoded(), source.notes))
    with closing(prefetch(chosen, _Decoder(source.notes), workers, ahead)) as decoded:
        for frame in decoded:
            if frame is not None:
                yield frame


def read_chosen(
    source: FrameSource, indices: Collection[int], workers: int = WORKERS
) -> Generator[RecordedFrame, None, None]:
    """A few frames by their index, in the order recorded: for those who look at them again.

    Others are passed over without being decoded. What is odd is not counted once more.
    """
    last = max(indices, default=-1)

    def chosen() -> Generator[EncodedFrame, None, None]:
        for frame in source.encoded():
            if frame.index in indices:
                yield frame
            if frame.index >= last:
                return

    with closing(prefetch(chosen(), _Decoder(), workers, AHEAD)) as decoded:
        for frame in decoded:
            if frame is not None:
                yield frame


@dataclass(frozen=True)
class _Decoder:
    """Decodes one frame; None if its image is broken."""

    notes: ReadingNotes = field(default_factory=ReadingNotes)

    def __call__(self, frame: EncodedFrame) -> RecordedFrame | None:
        begun = time.perf_counter()
        try:
            image, order = frame.load()
        except BrokenMessage as error:
            self.notes.broken("broken_images", str(error))
            return None
        truth = None
        if frame.load_truth is not None:
            try:
                truth = frame.load_truth((image.shape[0], image.shape[1]))
            except BrokenMessage as error:
                self.notes.broken("broken_labels", str(error))
        return RecordedFrame(
            index=frame.index,
            stamp_ns=frame.stamp_ns,
            image=image,
            order=order,
            truth=truth,
            decode_ms=1e3 * (time.perf_counter() - begun),
            name=frame.name,
            log_ns=frame.log_ns,
            frame_id=frame.frame_id,
        )


def _watched(
    frames: Iterator[EncodedFrame], notes: ReadingNotes
) -> Generator[EncodedFrame, None, None]:
    """The same frames, with their stamps looked at."""
    last: int | None = None
    try:
        for frame in frames:
            if last is not None and frame.stamp_ns == last:
                notes.count("repeated_stamps")
                notes.warn("some stamps repeat; such frames are scored, but are no pair in time")
            elif last is not None and frame.stamp_ns < last:
                notes.count("stamps_back")
                notes.warn("some stamps go back; figures over time begin anew there")
            last = frame.stamp_ns
            yield frame
    finally:
        close = getattr(frames, "close", None)
        if close is not None:
            close()


def nothing_to_read(source: FrameSource) -> DataError:
    """The error of a source that gave no frame at all, with what its notes know."""
    broken = source.notes.counts["broken_images"]
    if broken:
        reason = source.notes.reasons.most_common(1)[0][0]
        return DataError(f"{source.name}: none of {broken} images can be decoded ({reason})")
    return DataError(f"{source.name} gave no frame; is the part asked for within its length?")
