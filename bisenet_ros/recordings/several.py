"""From paths, globs and folders to the recordings they stand for."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.bag_files import EXPECTED, SUFFIXES, ZSTD, is_bag, natural


def find_recordings(names: Iterable[str]) -> list[str]:
    """The recordings that names stand for, in order, each once.

    Args:
        names: paths of recordings, folders of bags, and globs. URLs (``s3://…``) stay as they are.

    Raises:
        DataError: a glob matches nothing that is a recording, or a path does not exist.
    """
    found: dict[str, None] = {}
    for name in names:
        found.update(dict.fromkeys(_of_one(name)))
    return list(found)


def is_url(name: str) -> bool:
    """Whether a name is a URL of a file system, such as ``s3://bucket/drive.mcap``."""
    return "://" in name


def _of_one(name: str) -> list[str]:
    path = Path(name)
    if is_url(name):
        return [name]
    if path.is_dir() and not is_bag(path):
        inside = _bags_in(path)
        # Without bags it is a folder of images, which is one recording.
        return [str(bag) for bag in inside] or [name]
    if path.exists() or not glob.has_magic(name):
        return [name]  # opening it reports whether it exists
    matches = sorted((Path(match) for match in glob.glob(name, recursive=True)), key=_order)
    bags = [match for match in matches if is_bag(match)]
    if bags:
        return [str(bag) for bag in bags]
    if matches and all(match.is_file() for match in matches):
        return [name]  # a glob of images is one recording
    raise DataError(f"{name} matches no recording; {EXPECTED}")


def _bags_in(folder: Path) -> list[Path]:
    """Bags directly in a folder, and one level below."""
    entries = sorted(folder.iterdir(), key=natural)
    return [entry for entry in entries if not entry.name.startswith(".") and is_bag(entry)]


def _order(path: Path) -> list[list[tuple[int, str]]]:
    return [natural(Path(part)) for part in path.parts]


def short_names(names: list[str]) -> list[str]:
    """A folder's name for each recording: its own, with numbers where two are the same."""
    used: dict[str, int] = {}
    found = []
    for name in names:
        stem = name.rstrip("/").rsplit("/", 1)[-1]
        for suffix in (ZSTD, *SUFFIXES):
            stem = stem.removesuffix(suffix)
        stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in stem).strip("._")
        stem = stem or "recording"
        used[stem] = used.get(stem, 0) + 1
        found.append(stem if used[stem] == 1 else f"{stem}-{used[stem]}")
    return found
