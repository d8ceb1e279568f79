"""Locates the package's own files (weights, config, launch), in a checkout or installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bisenet_ros.errors import DataError
from bisenet_ros.system.paths import expanded

PACKAGE = "bisenet_ros"
SAMPLE_BAG = "test/data/camvid_drive"  # in a checkout only: it is large
SHIPPED_WEIGHTS = "weights/bisenetv2-camvid.safetensors"


def share_folders() -> list[Path]:
    """Folders that may contain the package's files, in search order.

    A checkout comes before an install, so that an editable install uses the edited files.
    """
    checkout = Path(__file__).resolve().parents[2]
    found = [checkout] if (checkout / "package.xml").is_file() else []
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    return found + [Path(prefix) / "share" / PACKAGE for prefix in (*prefixes, sys.prefix)]


def share_file(name: str) -> Path:
    """Path of a file that ships with the package, such as ``config/fastdds.xml``.

    Raises:
        DataError: no folder of :func:`share_folders` contains it.
    """
    folders = share_folders()
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    places = ", ".join(str(folder) for folder in folders)
    raise DataError(f"{name} was not found in {places}; rebuild the package and source it again")


def preset_file(folder: str, name: str) -> Path:
    """The file that a parameter names: a path, or a file of ``config/<folder>`` without suffix.

    Args:
        folder: ``label_maps`` or ``costs``.
        name: such as ``nav2_ground`` or ``~/maps/mine.yaml``; ``~`` and variables are expanded.

    Raises:
        DataError: the file does not exist; the message lists what is shipped.
    """
    path = Path(expanded(name))
    if "/" in name or path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise DataError(
                f"{path} is not a file; expected a YAML file or one of {_names(folder)}"
            )
        return path
    found = next((p for p in presets(folder) if p.stem == name), None)
    if found is None:
        raise DataError(f"{name!r} is not in config/{folder}, which has {_names(folder)}")
    return found


def presets(folder: str) -> list[Path]:
    """The YAML files of ``config/<folder>`` by name."""
    for share in share_folders():
        if files := sorted((share / "config" / folder).glob("*.yaml")):
            return files
    return []


def _names(folder: str) -> str:
    return ", ".join(path.stem for path in presets(folder)) or "none"


def sample_bag() -> Path | None:
    """Folder of the sample drive; None for an installed package, which does not hold it."""
    return next((f / SAMPLE_BAG for f in share_folders() if (f / SAMPLE_BAG).is_dir()), None)
