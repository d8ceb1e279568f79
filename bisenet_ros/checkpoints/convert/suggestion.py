"""What to say of a PyTorch checkpoint where a weights file is expected."""

from __future__ import annotations

import shlex
from pathlib import Path

from bisenet_ros.checkpoints.convert.conversion import recognise
from bisenet_ros.checkpoints.convert.presets import PRESETS, preset_for
from bisenet_ros.checkpoints.convert.reading import read
from bisenet_ros.checkpoints.convert.sniff import kind_of
from bisenet_ros.errors import WeightsError

LARGEST = 1 << 30  # bytes looked into; a message should not take long


def refusal(path: Path) -> str:
    """One line: what the file is, and the command that converts it, arguments filled in."""
    try:
        kind_of(path)
    except WeightsError as error:  # not even a checkpoint
        return str(error)
    return (
        f"{path} is a PyTorch checkpoint, a pickle, which can run code and is not loaded; expected "
        f"a .safetensors file: make one with {convert_command(path)}"
    )


def convert_command(path: Path) -> str:
    """``python -m bisenet_ros convert …`` for a PyTorch checkpoint, and what it was taken for.

    The preset named is the one with the checkpoint's class count, if the file can be recognised.
    """
    out = path.with_suffix(".safetensors")
    if out == path:
        out = path.with_suffix(".converted.safetensors")
    words = ["convert", shlex.quote(str(path)), shlex.quote(str(out))]
    command = f"python -m bisenet_ros {' '.join(words)} --classes"
    try:
        if path.stat().st_size > LARGEST:
            raise WeightsError("too large to look into")
        source, match = recognise(path, read(path, device="meta").tensors)
    except (WeightsError, OSError):
        return f"{command} FILE (a YAML file with its class names, or {', '.join(PRESETS)})"
    found = f"{match.architecture} of {source}, {match.num_classes} classes"
    preset = preset_for(match.num_classes)
    if preset is None:
        return f"{command} FILE (a YAML file with its class names; it is {found})"
    return f"{command} {preset} (it is {found}: the number {preset} has)"
