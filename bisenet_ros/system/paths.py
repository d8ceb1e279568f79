"""Paths as people give them: with ``~`` and variables, or to what cannot be read like a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bisenet_ros.errors import DataError


def expanded(text: str) -> str:
    """``text`` with ``~`` and environment variables such as ``$HOME`` replaced.

    What names no variable or user stays as it is, so that an error message shows it.
    """
    return os.path.expanduser(os.path.expandvars(text))


def check_regular(path: Path) -> None:
    """Raise :class:`DataError` if ``path`` is a pipe, a socket or a device: reading it may hang.

    Folders and what does not exist pass: opening them says what is wrong.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise DataError(f"{path} is a pipe, a socket or a device; expected a regular file")
