"""Sources of frames to play: a bag, a video file, a folder of images, a webcam."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.recordings.codec import decode_bgr
from bisenet_ros.recordings.rosbag import BAG_SUFFIXES, CAMERA_INFO, Bag, Message, Topic
from bisenet_ros.system.paths import check_regular

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
)
DEFAULT_RATE = 15.0  # Hz, for images without stamps
_WEBCAM = re.compile(r"(?:webcam:|/dev/video)(\d+)")


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """One camera image of a source, not decoded yet.

    Attributes:
        stamp_ns: when it was taken, in ns; only differences count if the source is not stamped.
        load: returns the bag's message, or (H, W, 3) uint8 BGR; DataError if it is corrupt. Call it
            before requesting the next frame.
        companions: messages of other topics that belong to this frame, as (ns after it, message).
    """

    stamp_ns: int
    load: Callable[[], Message | np.ndarray]
    companions: tuple[tuple[int, Message], ...] = ()


class Source(Protocol):
    """The interface of a source.

    Attributes:
        name: what the user called it.
        period_ns: nominal time between two frames.
        stamped: whether the frames carry recorded stamps.
        live: whether frames arrive in real time and cannot be replayed.
    """

    name: str
    period_ns: int
    stamped: bool
    live: bool

    def frames(self) -> Iterator[SourceFrame]:
        """All frames, from the first one; callable again unless the source is live."""

    def close(self) -> None:
        """Close files and devices."""


def open_source(name: str, topic: str | None = None, also: Sequence[str] = ()) -> Source:
    """Open what ``name`` stands for; ``topic`` and ``also`` choose topics of a bag.

    Raises:
        ArgumentError: topics are given for something other than a bag.
        DataError: it is missing or unreadable, or the bag lacks a topic.
    """
    path = Path(name)
    webcam = _WEBCAM.fullmatch(name)
    is_bag = path.suffix in BAG_SUFFIXES or (path / "metadata.yaml").is_file()
    if is_bag:
        return BagSource(path, topic, also)
    if topic is not None or also:
        raise ArgumentError(
            f"--topic and --also choose topics of a bag, but {name} is not a bag; drop them"
        )
    if webcam:
        return WebcamSource(name, int(webcam.group(1)))
    check_regular(path)
    if not path.exists():
        raise DataError(
            f"{name} does not exist; expected a bag (folder, .mcap or .db3), a video file, "
            "a folder of images, /dev/videoN or webcam:N"
        )
    return FolderSource(path) if path.is_dir() else VideoSource(path)


def cut(
    frames: Iterator[SourceFrame], start: float, duration: float | None
) -> Iterator[SourceFrame]:
    """The frames from ``start`` seconds after the first one on, for ``duration`` seconds."""
    last: int | None = None
    passed = period = 0
    begin = round(start * 1e9)
    end = None if duration is None else begin + round(duration * 1e9)
    for frame in frames:
        # Where stamps run backwards, as in a bag whose clock was set, the time played goes on.
        if last is not None:
            step = frame.stamp_ns - last
            period = step if step > 0 else period
            passed += period
        last = frame.stamp_ns
        if end is not None and passed >= end:
            return
        if passed >= begin:
            yield frame


class BagSource:
    """The images of one topic of a bag, with its camera_info and further topics alongside."""

    stamped = True
    live = False
    period_ns = round(1e9 / DEFAULT_RATE)

    def __init__(self, path: Path, topic: str | None, also: Sequence[str]) -> None:
        self.name = str(path)
        self.bag = Bag(path)
        try:
            self.topic = self.bag.image_topic(topic)
            self.also = tuple(self.bag.find(name) for name in dict.fromkeys(also))
        except DataError:
            self.bag.close()
            raise
        self.camera_info = self._find_camera_info()

    def frames(self) -> Iterator[SourceFrame]:
        """Frames in the order recorded.

        Any other message belongs to the last frame recorded before it, or to the next one if its
        stamp is not older: a driver may publish camera_info first.
        """
        companions = (*self.also, *([self.camera_info] if self.camera_info else []))
        current: Message | None = None
        early: list[Message] = []
        since: list[Message] = []
        for message in self.bag.messages([self.topic, *companions]):
            if message.topic != self.topic:
                since.append(message)
                continue
            coming = [m for m in since if m.stamp_ns >= message.stamp_ns]
            if current is not None:
                past = [m for m in since if m.stamp_ns < message.stamp_ns]
                yield _bag_frame(current, early + past)
            current, early, since = message, coming, []
        if current is not None:
            yield _bag_frame(current, early + since)

    def close(self) -> None:
        """Close the bag."""
        self.bag.close()

    def _find_camera_info(self) -> Topic | None:
        for topic in self.bag.topics:
            named = topic.name == self.topic.camera_info and topic.type == CAMERA_INFO
            if named and topic not in self.also:
                return topic
        return None


def _bag_frame(message: Message, companions: list[Message]) -> SourceFrame:
    delays = tuple((max(0, other.log_ns - message.log_ns), other) for other in companions)
    return SourceFrame(message.stamp_ns, lambda: message, delays)


class FolderSource:
    """The images of a folder, in natural order: frame2 before frame10."""

    stamped = False
    live = False
    period_ns = round(1e9 / DEFAULT_RATE)

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        found = [p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
        self.paths = sorted(found, key=_natural)
        if not found:
            bags = sorted(p for p in path.iterdir() if p.suffix in BAG_SUFFIXES)
            hint = f"; to play the bag inside, pass {bags[0]}" if bags else ""
            raise DataError(
                f"{path} has neither images ({', '.join(sorted(IMAGE_SUFFIXES))}) nor a bag's "
                f"metadata.yaml{hint}"
            )

    def frames(self) -> Iterator[SourceFrame]:
        """One frame per file, at the default rate."""
        for index, path in enumerate(self.paths):
            yield SourceFrame(round(index * 1e9 / DEFAULT_RATE), partial(_read_image, path))

    def close(self) -> None:
        """Does nothing; no file stays open."""


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part.lower()) for part in parts]


def _read_image(path: Path) -> np.ndarray:
    try:
        return decode_bgr(path.read_bytes())
    except (OSError, DataError) as error:
        raise DataError(f"{path} cannot be read as an image; replace or remove it") from error


class VideoSource:
    """The frames of a video file at the rate it states."""

    stamped = False
    live = False

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.path = path
        capture = self._open()
        rate = capture.get(cv2.CAP_PROP_FPS)
        capture.release()
        self.rate = rate if 0 < rate < 1e4 else DEFAULT_RATE  # NaN and 0: the file does not say
        self.period_ns = round(1e9 / self.rate)

    def frames(self) -> Iterator[SourceFrame]:
        """Frames in the order shown."""
        capture = self._open()
        try:
            index = 0
            while capture.grab():
                yield SourceFrame(
                    round(index * 1e9 / self.rate), lambda: _retrieve(capture, self.name)
                )
                index += 1
        finally:
            capture.release()

    def close(self) -> None:
        """Does nothing; no file stays open between passes."""

    def _open(self) -> cv2.VideoCapture:
        # The decoder prints its own errors to stderr; the message below is enough.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise DataError(
                f"{self.path} cannot be read as a video; expected one that OpenCV can decode, "
                "a bag (folder, .mcap or .db3) or a folder of images"
            )
        return capture


class WebcamSource:
    """A camera of this machine, as fast as it delivers."""

    stamped = False
    live = True
    period_ns = round(1e9 / 30)

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        device = Path(f"/dev/video{number}")
        if not device.exists():
            others = sorted(str(p) for p in device.parent.glob("video*"))
            raise DataError(
                f"{name}: no {device}; this machine has {', '.join(others) or 'no webcam'}"
            )
        self.capture = cv2.VideoCapture(number)
        if not self.capture.isOpened():
            raise DataError(f"{name}: {device} delivers no images; is it a camera, and not in use?")
        self.capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # queued frames would only get old

    def frames(self) -> Iterator[SourceFrame]:
        """Frames as they come, stamped with the wall clock."""
        while self.capture.grab():
            yield SourceFrame(time.time_ns(), lambda: _retrieve(self.capture, self.name))
        raise DataError(f"{self.name} stopped delivering images; was it unplugged?")

    def close(self) -> None:
        """Free the device."""
        self.capture.release()


def _retrieve(capture: cv2.VideoCapture, name: str) -> np.ndarray:
    good, image = capture.retrieve()
    if not good:
        raise DataError(f"{name} has a frame that cannot be decoded")
    return image
