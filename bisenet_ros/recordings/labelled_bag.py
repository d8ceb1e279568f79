"""A recorded drive in a bag: camera frames and their labels, by frame number."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.codec import decode_ids, decode_rgb
from bisenet_ros.recordings.rosbag import COMPRESSED, Bag, Topic


@dataclass(frozen=True)
class Drive:
    """A bag as a labelled drive.

    Attributes:
        path: the bag.
        frames: how many camera frames it has.
        seconds: recorded time from the first frame to the last.
    """

    path: Path
    images: Topic
    labels: Topic
    frames: int
    seconds: float

    @classmethod
    def open(cls, path: Path, images: str, labels: str) -> Drive:
        """Read the stamps of a bag.

        Raises:
            DataError: it is unreadable, lacks a topic (the message lists those it has), or a
                topic is not of compressed images.
        """
        with Bag(path) as bag:
            topics = [bag.image_topic(images), bag.image_topic(labels)]
            for topic in topics:
                if topic.type != COMPRESSED:
                    raise DataError(
                        f"{topic.name} of {path} is {topic.type}; expected {COMPRESSED}"
                    )
            stamps = [message.stamp_ns for message in bag.messages(topics[:1])]
        if not stamps:
            raise DataError(f"{path} has no messages on {images}; record the drive again")
        return cls(path, topics[0], topics[1], len(stamps), (stamps[-1] - stamps[0]) / 1e9)

    def read(self, numbers: Collection[int]) -> dict[int, tuple[np.ndarray, np.ndarray | None]]:
        """Frames by number: camera (H, W, 3) RGB and truth (H, W) ids or None, both uint8."""
        images: dict[int, tuple[int, np.ndarray]] = {}
        truths: dict[int, np.ndarray] = {}
        with Bag(self.path) as bag:
            for number, message in enumerate(bag.messages([self.images])):
                if number in numbers:
                    images[number] = (message.stamp_ns, decode_rgb(message.content.data))
            stamps = {stamp for stamp, _ in images.values()}
            for message in bag.messages([self.labels]):
                if message.stamp_ns in stamps:
                    truths[message.stamp_ns] = decode_ids(message.content.data)
        return {n: (image, truths.get(stamp)) for n, (stamp, image) in images.items()}
