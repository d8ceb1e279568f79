"""The masks that a running node gave for a recording, scored like a model on that recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.frame_stream import EncodedFrame, FrameSource, RecordedFrame
from bisenet_ros.recordings.node_outputs import Recording
from bisenet_ros.replay.predictor import Prediction


class ServedFrames:
    """Those frames of a recording for which there is a mask.

    Args:
        source: the recording; closed with this.
        served: stamp of the mask, in ns, by the stamp of its frame.
    """

    live = False

    def __init__(self, source: FrameSource, served: dict[int, int]) -> None:
        self.source, self.served = source, served
        self.name, self.kind, self.timed = source.name, source.kind, source.timed
        self.seconds = source.seconds
        self.expected: int | None = len(served)
        self.notes = source.notes

    def encoded(self) -> Iterator[EncodedFrame]:
        """The frames in the order recorded, numbered as in the recording."""
        taken: set[int] = set()
        with closing(self.source.encoded()) as frames:  # type: ignore[type-var]
            for frame in frames:
                # Of frames with the same stamp the first one counts: there is one mask.
                if frame.stamp_ns in self.served and frame.stamp_ns not in taken:
                    taken.add(frame.stamp_ns)
                    yield frame

    def facts(self) -> dict[str, Any]:
        """What the recording is, as JSON values."""
        return self.source.facts()

    def close(self) -> None:
        """Close the recording."""
        self.source.close()


class RecordedMasks:
    """Masks on disk as a model.

    Args:
        recording: what the evaluation node recorded.
        served: as of :class:`ServedFrames`.
        labels: what the ids mean.
    """

    def __init__(self, recording: Recording, served: dict[int, int], labels: LabelSet) -> None:
        self.recording, self.served = recording, served
        self.labels = labels

    def of_frames(self, frames: Sequence[RecordedFrame]) -> list[Prediction]:
        """The mask of each frame, with its confidence if that was recorded.

        Raises:
            DataError: a mask is broken, or of another size than its frame.
        """
        return [Prediction(self._mask(frame), self._confidence(frame)) for frame in frames]

    def __call__(
        self, images: Sequence[np.ndarray], orders: Sequence[str], overlay: bool = False
    ) -> list[Prediction]:
        """Not possible: a mask is found by its frame's stamp."""
        raise TypeError("recorded masks belong to frames; call of_frames")

    def _mask(self, frame: RecordedFrame) -> np.ndarray:
        return _fitting(self.recording.mask(self.served[frame.stamp_ns]), frame, "mask")

    def _confidence(self, frame: RecordedFrame) -> np.ndarray | None:
        found = self.recording.confidence(self.served[frame.stamp_ns])
        return None if found is None else _fitting(found, frame, "confidence")


def _fitting(pixels: np.ndarray, frame: RecordedFrame, what: str) -> np.ndarray:
    """The pixels; DataError unless they have the size of the frame."""
    if pixels.shape != frame.image.shape[:2]:
        sizes = [f"{shape[1]}×{shape[0]}" for shape in (pixels.shape, frame.image.shape)]
        raise DataError(
            f"the {what} of {frame.stamp_ns} ns is {sizes[0]}, but its image is {sizes[1]}"
        )
    return pixels
