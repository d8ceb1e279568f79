"""Frames of image files, folders, videos and webcams."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.inference.image_encodings import Pixels
from bisenet_ros.recordings.bag_files import SUFFIXES, is_bag, natural
from bisenet_ros.recordings.bag_frames import BagFrames, BagOptions
from bisenet_ros.recordings.frame_stream import EncodedFrame, FrameSource, ReadingNotes
from bisenet_ros.recordings.image_messages import BrokenMessage
from bisenet_ros.recordings.sources import DEFAULT_RATE, IMAGE_SUFFIXES, WebcamSource
from bisenet_ros.system.optional import needed
from bisenet_ros.system.paths import check_regular

_WEBCAM = re.compile(r"(?:webcam:|/dev/video)(\d+)")
_EXPECTED = (
    "expected an image, a folder of images, a glob of images, a video, a bag (rosbag2 folder, "
    ".mcap, .db3 or .bag), /dev/videoN or webcam:N"
)


def open_frames(name: str | Path, options: BagOptions | None = None) -> FrameSource:
    """Open whatever ``name`` stands for; close it afterwards.

    Args:
        name: a path, a glob of images, ``/dev/videoN`` or ``webcam:N``.
        options: of bags.

    Raises:
        ArgumentError: topics are chosen in something that is not a bag.
        DataError: it is missing or cannot be read.
    """
    text, path = str(name), Path(name)
    if path.exists() and is_bag(path):
        return BagFrames(path, options)
    webcam = _WEBCAM.fullmatch(text)
    if not webcam and not path.exists() and path.suffix in SUFFIXES:
        raise DataError(f"{text} does not exist; {_EXPECTED}")
    if options is not None and (options.image_topic or options.label_topic):
        raise ArgumentError(f"topics are chosen of bags, but {text} is not one")
    if webcam:
        return WebcamFrames(text, int(webcam.group(1)))
    if path.is_dir():
        return ImageFrames(text, _images_in(path))
    if path.suffix.lower() in IMAGE_SUFFIXES and path.exists():
        return ImageFrames(text, [path])
    if path.exists():
        return VideoFrames(path)
    matches = [Path(match) for match in glob.glob(text, recursive=True)]
    images = [match for match in matches if match.suffix.lower() in IMAGE_SUFFIXES]
    if images:
        return ImageFrames(text, sorted(images, key=lambda image: [natural(image)]))
    if matches:
        raise DataError(f"{text} matches {len(matches)} files, none of which is an image")
    raise DataError(f"{text} does not exist; {_EXPECTED}")


def _images_in(folder: Path) -> list[Path]:
    found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
    if not found:
        raise DataError(f"{folder} holds neither images nor a bag; {_EXPECTED}")
    return sorted(found, key=natural)


class ImageFrames:
    """Image files, in natural order: frame2 before frame10."""

    kind = "images"
    timed = False
    live = False
    seconds: float | None = None

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.name = name
        self.paths = paths
        self.expected: int | None = len(paths)
        self.notes = ReadingNotes()

    def encoded(self) -> Iterator[EncodedFrame]:
        """One frame a file, stamped as if it had been taken at 15 Hz."""
        for index, path in enumerate(self.paths):
            stamp = round(index * 1e9 / DEFAULT_RATE)
            yield EncodedFrame(index, stamp, partial(_read_image, path), name=path.name)

    def facts(self) -> dict[str, Any]:
        """What it is, as JSON values."""
        return {"kind": self.kind, "path": self.name, "messages": len(self.paths)}

    def close(self) -> None:
        """Nothing is kept open."""


def _read_image(path: Path) -> Pixels:
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise BrokenMessage(f"{path} cannot be read: {error.strerror}") from error
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if image is None:
        raise BrokenMessage(f"{path} cannot be decoded as an image")
    return Pixels(image, "bgr")


class VideoFrames:
    """The frames of a video file at the times it states.

    Raises:
        DataError: it cannot be read as a video.
    """

    kind = "video"
    timed = True
    live = False

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.path = path
        self.notes = ReadingNotes()
        self._av = needed("av", "tools", "reading videos")
        container = self._opened()
        stream = container.streams.video[0]
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        self.rate = rate if 0 < rate < 1e4 else DEFAULT_RATE
        length = float(container.duration or 0) / 1e6
        self.seconds: float | None = length or None
        counted = stream.frames or round(length * self.rate)
        self.expected: int | None = counted or None
        self.codec = stream.codec_context.name
        container.close()

    def encoded(self) -> Iterator[EncodedFrame]:
        """Frames in the order shown; what cannot be decoded is counted and left out."""
        container = self._opened()
        try:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            index = 0
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except self._av.FFmpegError as error:
                    self.notes.broken("broken_images", f"a packet cannot be decoded ({error})")
                    continue
                for frame in frames:
                    stamp = index / self.rate if frame.time is None else frame.time
                    load = partial(_video_pixels, frame)
                    yield EncodedFrame(index, round(stamp * 1e9), load)
                    index += 1
        except self._av.FFmpegError as error:
            self.notes.warn(f"{self.name} cannot be read to its end ({error})")
        finally:
            container.close()

    def facts(self) -> dict[str, Any]:
        """What it is, as JSON values."""
        return {
            "kind": self.kind,
            "path": self.name,
            "messages": self.expected,
            "rate_hz": self.rate,
            "seconds": self.seconds,
            "codec": self.codec,
        }

    def close(self) -> None:
        """Nothing is kept open between two rounds."""

    def _opened(self) -> Any:
        check_regular(self.path)
        try:
            container = self._av.open(str(self.path))
        except (self._av.FFmpegError, OSError) as error:
            raise DataError(
                f"{self.path} cannot be read as a video ({error}); {_EXPECTED}"
            ) from error
        if not container.streams.video:
            container.close()
            raise DataError(f"{self.path} holds no video; {_EXPECTED}")
        return container


def _video_pixels(frame: Any) -> Pixels:
    image = frame.to_ndarray(format="bgr24")
    # Phones store how they were held beside the pixels; players turn them, FFmpeg does not.
    turns = round(frame.rotation / 90) % 4
    return Pixels(np.ascontiguousarray(np.rot90(image, turns)), "bgr")


class WebcamFrames:
    """A camera of this machine, as fast as it delivers, until the caller stops."""

    kind = "webcam"
    timed = True
    live = True
    expected: int | None = None
    seconds: float | None = None

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.notes = ReadingNotes()
        self._source = WebcamSource(name, number)

    def encoded(self) -> Iterator[EncodedFrame]:
        """Frames as they come, stamped with the wall clock."""
        for index, frame in enumerate(self._source.frames()):
            image = frame.load()  # now: the camera reuses its memory
            if isinstance(image, np.ndarray):
                yield EncodedFrame(index, frame.stamp_ns, partial(Pixels, image, "bgr"))

    def facts(self) -> dict[str, Any]:
        """What it is, as JSON values."""
        return {"kind": self.kind, "path": self.name}

    def close(self) -> None:
        """Free the device."""
        self._source.close()
