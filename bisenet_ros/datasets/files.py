"""Finds images and their labels on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from bisenet_ros.datasets.pictures import IMAGES, LABELS
from bisenet_ros.errors import DataError

Result = TypeVar("Result")


def images_in(folder: Path, expected: str) -> dict[str, Path]:
    """The images below ``folder``, sorted and keyed by relative path without suffix.

    Raises:
        DataError: the folder is missing or contains no image, or two images share a name.
    """
    images = _by_name(folder, IMAGES)
    if not images:
        what = "contains no images" if folder.is_dir() else "is not a folder"
        raise DataError(f"{folder} {what}; expected {expected}")
    return images


def labels_in(folder: Path) -> dict[str, Path]:
    """The label files below ``folder``, keyed the same way; none if the folder is missing."""
    return _by_name(folder, LABELS)


def _by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for place, _, files in os.walk(folder, followlinks=True):
        for file in files:
            # Other systems leave dot files next to the real ones.
            if not file.lower().endswith(suffixes) or file.startswith("."):
                continue
            path = Path(place, file)
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in found:
                raise DataError(f"{path} and {found[name].name} share a name; keep one of them")
            found[name] = path
    return dict(sorted(found.items()))


def label_of(name: str, labels: dict[str, Path], folder: Path) -> Path:
    """The label file called ``name`` of those in ``folder``; DataError if it is not there."""
    if name not in labels:
        raise DataError(
            f"{folder / name}.png is missing; each image needs a label: add it, or remove the "
            "image from the set"
        )
    return labels[name]


def folders_in(folder: Path) -> str:
    """Names of the folders in ``folder``, for error messages."""
    found = sorted(path.name for path in folder.glob("*") if path.is_dir())
    return ", ".join(found) or "none"


def in_order(function: Callable[[int], Result], count: int, workers: int = 0) -> Iterator[Result]:
    """``function`` of 0 … count−1, in order, on ``workers`` threads (0: one per core, up to 8).

    Stops at the first error, or when the caller stops iterating.
    """
    workers = workers or min(8, len(os.sched_getaffinity(0)))
    chunk = 8 * workers  # not all at once: results are kept in memory, and errors should stop it
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, count, chunk):
            yield from pool.map(function, range(start, min(start + chunk, count)))
