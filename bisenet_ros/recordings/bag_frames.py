"""Camera frames of a bag, with their labels if it has any."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.errors import ArgumentError
from bisenet_ros.recordings.bag_files import open_bag
from bisenet_ros.recordings.bag_topics import BagTopic, find_images, find_labels
from bisenet_ros.recordings.frame_stream import EncodedFrame, ReadingNotes
from bisenet_ros.recordings.image_messages import BrokenMessage, ImageMessage
from bisenet_ros.recordings.label_decoding import LabelCoding, fit
from bisenet_ros.recordings.pairing import Pairing
from bisenet_ros.recordings.storage import Storage


@dataclass(frozen=True)
class BagOptions:
    """What is read of a bag.

    Attributes:
        image_topic: the camera's; None to find it.
        label_topic: its labels'; None to find it, empty for no labels.
        coding: how labels are written; None to leave them unread.
        max_dt_s: how far apart the stamps of an image and its label may be, in seconds.
    """

    image_topic: str | None = None
    label_topic: str | None = None
    coding: LabelCoding | None = None
    max_dt_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.max_dt_s <= 10:
            raise ArgumentError(f"--max-dt is {self.max_dt_s}; expected 0 to 10 seconds")


class BagFrames:
    """A bag as a :class:`~bisenet_ros.recordings.frame_stream.FrameSource`.

    Raises:
        DataError: it cannot be read, or its topics cannot be told apart.
    """

    kind = "bag"
    timed = True
    live = False

    def __init__(self, path: Path, options: BagOptions | None = None) -> None:
        self.path = path
        self.name = str(path)
        self.options = options or BagOptions()
        self.notes = ReadingNotes()
        self.storage: Storage = open_bag(path)
        try:
            self.images = find_images(self.storage, path, self.options.image_topic)
            self.labels = self._find_labels()
        except BaseException:
            self.storage.close()
            raise
        self.expected: int | None = self.images.messages
        self.seconds: float | None = (self.storage.end_ns - self.storage.start_ns) / 1e9
        if self.storage.loss.reasons:
            self.notes.warn(f"{path} is damaged: {self.storage.loss.sentence()}")

    def encoded(self) -> Iterator[EncodedFrame]:
        """Camera frames in the order recorded, each with the label of its stamp."""
        with closing(self._messages(self.images, "broken_images")) as images:
            if self.labels is None:
                for index, image in enumerate(images):
                    yield _frame(index, image)
                return
            with closing(self._messages(self.labels, "broken_labels")) as labels:
                pairing = Pairing(images, labels, round(self.options.max_dt_s * 1e9))
                try:
                    for index, (image, label) in enumerate(pairing):
                        load = None if label is None else partial(self._truth, label)
                        yield _frame(index, image, load)
                finally:
                    self._note(pairing)

    def facts(self) -> dict[str, Any]:
        """What it is, as JSON values."""
        return {
            "kind": self.kind,
            "path": self.name,
            "image_topic": self.images.name,
            "image_type": self.images.type,
            "label_topic": self.labels.name if self.labels else None,
            "messages": self.images.messages,
            "rate_hz": self.images.rate_hz,
            "seconds": self.seconds,
            "loss": self.storage.loss.figures(),
        }

    def close(self) -> None:
        """Close the bag."""
        self.storage.close()

    def _find_labels(self) -> BagTopic | None:
        if self.options.coding is None or self.options.label_topic == "":
            return None
        return find_labels(self.storage, self.path, self.images, self.options.label_topic)

    def _messages(self, topic: BagTopic, broken: str) -> Generator[ImageMessage, None, None]:
        for stored in self.storage.messages([topic.name]):
            if stored.channel.type != topic.type:
                continue
            try:
                message = ImageMessage.of(stored)
            except BrokenMessage as error:
                self.notes.broken(broken, str(error))
            else:
                yield message

    def _truth(self, message: ImageMessage, shape: tuple[int, int]) -> np.ndarray:
        assert self.options.coding is not None
        label = message.label()
        what = f"the label on {message.topic} with stamp {message.stamp_ns} ns"
        classes = self.options.coding.classes(label, what)
        if classes.shape != shape:
            self.notes.count("resized_labels")
            sizes = [f"{size[1]}×{size[0]}" for size in (classes.shape, shape)]
            self.notes.warn(
                f"labels are {sizes[0]} but images are {sizes[1]}; labels are brought to the "
                "images' size by nearest neighbour"
            )
        return fit(classes, shape)

    def _note(self, pairing: Pairing[ImageMessage, ImageMessage]) -> None:
        notes = self.notes
        notes.count("images_with_label", pairing.paired)
        notes.count("images_without_label", pairing.unpaired)
        notes.count("labels_without_image", pairing.left_over)
        miss = pairing.nearest_miss_ns
        if pairing.unpaired and not pairing.paired and miss is not None:
            notes.warn(
                f"no label is within {self.options.max_dt_s:g} s of an image; the nearest is "
                f"{miss / 1e9:.4f} s away: pass --max-dt"
            )


def _frame(
    index: int,
    image: ImageMessage,
    load_truth: Callable[[tuple[int, int]], np.ndarray] | None = None,
) -> EncodedFrame:
    return EncodedFrame(
        index=index,
        stamp_ns=image.stamp_ns,
        load=image.pixels,
        load_truth=load_truth,
        log_ns=image.log_ns,
        frame_id=image.frame_id,
    )
