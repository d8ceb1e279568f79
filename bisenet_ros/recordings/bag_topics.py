"""Which topics of a bag are the camera and its labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.image_messages import BrokenMessage, ImageMessage, readable
from bisenet_ros.recordings.rosbag import COMPRESSED, IMAGE
from bisenet_ros.recordings.storage import Storage

# Words in the last parts of a topic's name, none of which a camera's own topic has.
_LABEL = re.compile(
    r"(^|_)(labels?|gt|ground_?truth|truth|annotations?|sem(antic)?_?seg(mentation)?|seg(mentation)?"
    r"|semantics?|class(es)?|class_?ids?)($|_)"
)
_OUTPUT = re.compile(r"(^|_)(mask|confidence|overlay|mask_color|heatmap|disparity)($|_)")
_DEPTH = re.compile(r"(^|_)(depth|disparity|aligned_depth\w*)($|_)")
_TRANSPORTS = ("/compressed", "/compressedDepth", "/theora")
_DEPTH_ENCODINGS = ("16UC1", "32FC1")


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag.

    Attributes:
        name, type: as recorded.
        messages: how many there are.
        rate_hz: messages a second over the bag's whole length; 0 where it has none.
        readable: whether it carries images that can be read.
    """

    name: str
    type: str
    messages: int
    rate_hz: float
    readable: bool

    @property
    def base(self) -> str:
        """The name without image_transport's suffix."""
        for suffix in _TRANSPORTS:
            if self.name.endswith(suffix):
                return self.name[: -len(suffix)]
        return self.name

    def __str__(self) -> str:
        plural = "" if self.messages == 1 else "s"
        return f"{self.name} ({self.type}, {self.messages} message{plural}, {self.rate_hz:.1f} Hz)"


def bag_topics(storage: Storage) -> list[BagTopic]:
    """All topics of a bag, by name."""
    seconds = (storage.end_ns - storage.start_ns) / 1e9
    found = []
    for channel in sorted(storage.channels):
        # n messages span n − 1 periods, which matters in short bags.
        rate = max(0, channel.messages - 1) / seconds if seconds > 0 else 0.0
        kept = readable(channel.type, channel.encoding)
        found.append(BagTopic(channel.topic, channel.type, channel.messages, rate, kept))
    return found


def find_images(storage: Storage, path: Path, name: str | None = None) -> BagTopic:
    """The topic of that name, or the only one that can be a camera's.

    Topics that are named like labels or a network's output are no candidates. Of a camera recorded
    raw and compressed, the raw topic is taken. If several are left, those that hold depth or
    16-bit values are left out.

    Raises:
        DataError: the topic is missing, empty or no image, or none or several could be meant; the
            candidates are listed with type, count and rate.
    """
    topics = bag_topics(storage)
    if name is not None:
        return _named(topics, name, path)
    images = [topic for topic in topics if topic.readable and topic.messages]
    cameras = _one_per_base([topic for topic in images if not _is_other(topic)])
    if len(cameras) > 1:
        cameras = [topic for topic in cameras if not _holds_depth(storage, topic)] or cameras
    if len(cameras) == 1:
        return cameras[0]
    if cameras:
        raise DataError(
            f"{path} holds several image topics; choose one with --image-topic: {_list(cameras)}"
        )
    if images:
        raise DataError(
            f"{path} holds no topic that looks like a camera's; choose one with --image-topic: "
            f"{_list(images)}"
        )
    raise DataError(f"{path} holds no images; its topics: {_list(topics)}")


def find_labels(
    storage: Storage, path: Path, images: BagTopic, name: str | None = None
) -> BagTopic | None:
    """The label topic of that name, or the only one named like one; None if there is none.

    Raises:
        DataError: the topic is missing, empty or no image, or several could be meant.
    """
    topics = bag_topics(storage)
    if name is not None:
        return _named(topics, name, path)
    labels = _one_per_base(
        [
            topic
            for topic in topics
            if topic.readable and topic.messages and topic != images and _is_label(topic)
        ]
    )
    if len(labels) > 1:
        raise DataError(
            f"{path} holds several label topics; choose one with --label-topic: {_list(labels)}"
        )
    return labels[0] if labels else None


def _named(topics: Sequence[BagTopic], name: str, path: Path) -> BagTopic:
    for topic in topics:
        if name not in (topic.name, topic.base) or not topic.readable:
            continue
        if not topic.messages:
            raise DataError(f"topic {topic} of {path} is empty; choose another: {_list(topics)}")
        return topic
    for topic in topics:
        if topic.name == name:
            raise DataError(
                f"topic {topic} of {path} does not carry images; expected {IMAGE} or "
                f"{COMPRESSED}: {_list(topics)}"
            )
    raise DataError(f"{path} holds no topic {name}; its topics: {_list(topics)}")


def _is_label(topic: BagTopic) -> bool:
    parts = topic.base.lower().split("/")[-2:]
    return any(_LABEL.search(part) for part in parts) and not _OUTPUT.search(parts[-1])


def _is_other(topic: BagTopic) -> bool:
    """Whether a topic is named like something that no camera sends."""
    parts = topic.base.lower().split("/")
    return (
        _is_label(topic)
        or bool(_OUTPUT.search(parts[-1]))
        or any(_DEPTH.search(part) for part in parts)
        or topic.name.endswith("/compressedDepth")
    )


def _one_per_base(topics: Sequence[BagTopic]) -> list[BagTopic]:
    """Of topics that are one camera in several transports, the raw one."""
    chosen: dict[str, BagTopic] = {}
    for topic in sorted(topics, key=lambda topic: (topic.type != IMAGE, topic.name)):
        chosen.setdefault(topic.base, topic)
    return sorted(chosen.values(), key=lambda topic: topic.name)


def _holds_depth(storage: Storage, topic: BagTopic) -> bool:
    if topic.type != IMAGE:
        return False
    for stored in storage.messages([topic.name]):
        try:
            return ImageMessage.of(stored).content.encoding in _DEPTH_ENCODINGS
        except BrokenMessage:
            continue
    return False


def _list(topics: Sequence[BagTopic]) -> str:
    return ", ".join(str(topic) for topic in topics) or "none"
