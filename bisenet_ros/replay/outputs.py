"""Scores on disk: metrics.json and frames.csv, each whole or not there."""

from __future__ import annotations

import contextlib
import csv
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from bisenet_ros.errors import DataError
from bisenet_ros.replay.frame_scores import FrameRecords
from bisenet_ros.system.atomic_files import write_json


def write_metrics(path: Path, figures: dict[str, Any]) -> None:
    """Write metrics.json; DataError where the disk is full or the folder cannot be written."""
    with _told(path):
        write_json(path, figures)


def write_frames(path: Path, records: FrameRecords, names: Sequence[str]) -> None:
    """Write frames.csv: one line per frame; undefined figures are empty.

    Args:
        path: of the file, which is replaced in one step.
        records: the frames.
        names: of the classes, for the columns of their shares.

    Raises:
        DataError: the disk is full, or the folder cannot be written.
    """
    with _told(path), replaced(path) as file:
        writer: csv.DictWriter[str] | None = None
        for row in records.rows(names):
            if writer is None:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
            writer.writerow(row)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[IO[str]]:
    """A text file that takes the place of ``path`` when the block ends well."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
        os.chmod(part, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> DataError:
    """What to report where a file cannot be written: the disk is full, most of the time."""
    reason = error.strerror or str(error)
    return DataError(f"{path} cannot be written: {reason}; make room, or name another folder")
