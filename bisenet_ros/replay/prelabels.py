"""Writes predictions as labels that an annotation tool imports: people correct instead of draw."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np

from bisenet_ros.datasets.export.run import EXPORTERS
from bisenet_ros.errors import ArgumentError
from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.codec import encode_png
from bisenet_ros.recordings.frame_stream import RecordedFrame
from bisenet_ros.replay.outputs import cannot_write

SPLIT = "default"  # what CVAT calls the only subset of a task


class PreLabels:
    """A data set of images and predicted ids; complete when the block ends, however it ends.

    Args:
        out: a folder that is missing or empty.
        to: a key of ``datasets.export.run.EXPORTERS``.
        labels: classes and colours; all of them are declared, also those that no pixel has.

    Raises:
        ArgumentError: there is no such format, or ``out`` holds files.
        DataError: the format cannot hold a class's name; writing: a file cannot be written.
    """

    def __init__(self, out: Path, to: str, labels: LabelSet) -> None:
        if to not in EXPORTERS:
            raise ArgumentError(f"--to is {to!r}; expected one of {', '.join(EXPORTERS)}")
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ArgumentError(f"{out} holds files; remove it, or pass another --out")
        self._out = out
        self._exporter = EXPORTERS[to](out, labels)
        self._folder = tempfile.TemporaryDirectory(prefix="bisenet-prelabels-")

    def add(self, name: str, frame: RecordedFrame, mask: np.ndarray) -> None:
        """Write a frame as a lossless image, and its mask, (H, W) uint8 ids."""
        path = Path(self._folder.name) / "image.png"
        try:
            path.write_bytes(encode_png(frame.rgb))
            self._exporter.add(SPLIT, name, path, mask)
        except OSError as error:
            raise cannot_write(self._out, error) from error

    def __enter__(self) -> PreLabels:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()
        try:
            self._exporter.finish()
        except OSError as failed:
            if error is None:
                raise cannot_write(self._out, failed) from failed
