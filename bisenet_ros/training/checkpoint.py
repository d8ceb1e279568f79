"""Reads a run's checkpoints without executing anything that might be hidden in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bisenet_ros.checkpoints.refusals import refused_name
from bisenet_ros.errors import DataError


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint that a training run wrote: tensors, numbers and texts only.

    Raises:
        DataError: it is missing, is not a checkpoint, or holds more than plain values, which could
            be code.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; expected a checkpoint of a training run") from error
    except Exception as error:  # pickle's, zip's and torch's have no common base class
        name = refused_name(error)
        if name:
            raise DataError(
                f"{path} holds {name}, which loading would execute; a checkpoint of "
                "this package holds only tensors, numbers and texts: do not trust the file"
            ) from error
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(f"{path} is not a checkpoint of a training run: {reason}") from error
    step = content.get("global_step") if isinstance(content, dict) else None
    if not isinstance(step, int) or not isinstance(content.get("state_dict"), dict):
        raise DataError(
            f"{path} is not a checkpoint of a training run: expected entries global_step and "
            "state_dict"
        )
    return content


def steps_done(path: Path) -> int:
    """Optimiser steps up to a checkpoint; DataError if it cannot be resumed from."""
    if not path.is_file():
        raise DataError(f"{path} is missing, so there is nothing to resume; drop --resume")
    return int(read_checkpoint(path)["global_step"])
