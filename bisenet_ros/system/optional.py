"""Optional packages that only some features need, and the engines' cache folders."""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

from bisenet_ros.errors import ArgumentError


def installed(package: str) -> bool:
    """Whether the package is installed; does not import it."""
    return importlib.util.find_spec(package) is not None


def needed(package: str, extra: str, what: str) -> Any:
    """Import an optional package.

    Raises:
        ArgumentError: it is not installed or cannot be loaded; says ``what`` needs it and which
            ``extra`` of this package installs it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == package.split(".")[0]
        problem = "is not installed" if missing else f"cannot be loaded ({error})"
        raise ArgumentError(
            f"{what} needs {package}, which {problem}; run pip install 'bisenet_ros[{extra}]'"
        ) from error


def cache_folder(name: str) -> Path:
    """A per-user folder for files that can be regenerated; created if needed."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "bisenet_ros" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
