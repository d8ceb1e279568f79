"""A labelled data set as a recording without time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bisenet_ros.datasets.base import LabelledSet
from bisenet_ros.errors import DataError
from bisenet_ros.inference.image_encodings import Pixels
from bisenet_ros.labels import UNLABELLED
from bisenet_ros.recordings.frame_stream import EncodedFrame, ReadingNotes


class DatasetFrames:
    """The images of a set as a :class:`~bisenet_ros.recordings.frame_stream.FrameSource`."""

    kind = "dataset"
    timed = False
    live = False
    seconds: float | None = None

    def __init__(self, labelled: LabelledSet, name: str, num_classes: int) -> None:
        self.labelled = labelled
        self.name = name
        self.num_classes = num_classes
        self.expected: int | None = len(labelled)
        self.notes = ReadingNotes()

    def encoded(self) -> Iterator[EncodedFrame]:
        """One frame per image, stamped a second apart."""
        for index in range(len(self.labelled)):
            entry = _Entry(self, index)
            name = self.labelled.samples[index].name
            yield EncodedFrame(index, index * 10**9, entry.load, entry.load_truth, name=name)

    def facts(self) -> dict[str, Any]:
        """What it is, as JSON values."""
        return {
            "kind": self.kind,
            "path": self.name,
            "messages": len(self.labelled),
            "split": self.labelled.split,
            "source": self.labelled.source,
            "licence": self.labelled.licence,
        }

    def close(self) -> None:
        """Nothing is kept open."""


class _Entry:
    """One image and its label, which a set reads together."""

    def __init__(self, frames: DatasetFrames, index: int) -> None:
        self.frames = frames
        self.index = index
        self.truth: np.ndarray | None = None

    def load(self) -> Pixels:
        image, self.truth = self.frames.labelled.read(self.index)
        return Pixels(image, "rgb")

    def load_truth(self, _shape: tuple[int, int]) -> np.ndarray:
        assert self.truth is not None  # the image is always loaded first
        truth, self.truth = self.truth, None
        stray = truth[(truth >= self.frames.num_classes) & (truth != UNLABELLED)]
        if stray.size:
            raise DataError(
                f"the label of {self.frames.labelled.samples[self.index].name} holds id "
                f"{stray[0]}, which is no class; expected 0 to {self.frames.num_classes - 1}, or "
                f"{UNLABELLED} for unlabelled"
            )
        return truth
