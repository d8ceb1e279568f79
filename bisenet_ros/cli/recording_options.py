"""What the commands that read recordings share: the frames, the model, how a run is reported."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from bisenet_ros.errors import ArgumentError


def selection(
    every: int, start: float, duration: float | None, limit: int | None
) -> Any:  # a Selection; importing it here would load OpenCV for --help
    """Which frames are read.

    Raises:
        ArgumentError: a value is out of range.
    """
    from bisenet_ros.recordings.frame_stream import Selection

    for name, value in (("start", start), ("duration", duration)):
        if value is not None and not math.isfinite(value):
            raise ArgumentError(f"--{name} is {value}; expected a number of seconds")
    return Selection(every, start, duration, limit)


def existing_weights(path: Path | None) -> Path | None:
    """The weights file to load; WeightsError if it is missing."""
    from bisenet_ros.errors import WeightsError

    if path is not None and not path.exists():
        raise WeightsError(
            f"--weights {path} does not exist; weights/README.md lists the shipped ones"
        )
    return path


def output_folder(out: Path | None, command: str, source: str) -> Path:
    """The folder asked for, else ``out/COMMAND/NAME`` after what is read."""
    if out is not None:
        return out
    clean = "".join(c if c.isalnum() or c in "-_." else "_" for c in bag_name(source)).strip("._")
    return Path("out") / command / (clean or "recording")


def bag_name(source: str) -> str:
    """The name of a recording, of a bag without its suffixes."""
    name = Path(source.rstrip("/")).name
    for suffix in (".zstd", ".mcap", ".db3", ".bag"):
        name = name.removesuffix(suffix)
    return name


def print_notes(notes: dict[str, Any]) -> None:
    """Warnings about a recording, and what was damaged in it, on stderr."""
    from bisenet_ros.replay.evaluation import note_lines

    for text in note_lines(notes):
        print(f"warning: {text}", file=sys.stderr)
