"""The files of a data set, listed once: what readers look at and recognise formats by."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bisenet_ros.datasets.archive import is_archive, unpacked
from bisenet_ros.datasets.names import Names, plain, stem
from bisenet_ros.datasets.pictures import IMAGES
from bisenet_ros.errors import DataError

IGNORED = ("__MACOSX", "Thumbs.db", "desktop.ini")  # and all names that start with a dot


@dataclass(frozen=True)
class Tree:
    """A data set's folder.

    Attributes:
        root: the folder; for a zip the one it was unpacked to.
        files: paths below it as POSIX strings, sorted; left-overs of other systems left out.
    """

    root: Path
    files: tuple[str, ...]

    @cached_property
    def names(self) -> Names:
        """To find files whose names are written somewhere in another way."""
        return Names(self.files)

    @cached_property
    def _by_base(self) -> Names:
        return Names(posixpath.basename(name) for name in self.files)

    @cached_property
    def _places(self) -> dict[str, list[str]]:
        places: dict[str, list[str]] = {}
        for name in self.files:
            places.setdefault(posixpath.basename(name), []).append(name)
        return places

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder that holds files, at any depth, as POSIX strings; not the root."""
        found: set[str] = set()
        for name in self.files:
            folder = posixpath.dirname(name)
            while folder and folder not in found:
                found.add(folder)
                folder = posixpath.dirname(folder)
        return frozenset(found)

    def path(self, name: str) -> Path:
        """Where the file of that name is."""
        return self.root / name

    def below(self, folder: str, suffixes: tuple[str, ...] = ()) -> Iterator[str]:
        """Files at any depth below ``folder`` ("" for all) with one of the suffixes."""
        start = f"{folder}/" if folder else ""
        for name in self.files:
            if name.startswith(start) and (not suffixes or name.lower().endswith(suffixes)):
                yield name

    def images_by_stem(self, folder: str) -> dict[str, str]:
        """Images below ``folder`` by their path in it without suffix.

        Raises:
            DataError: two share a name.
        """
        return self.by_stem(folder, IMAGES)

    def by_stem(self, folder: str, suffixes: tuple[str, ...]) -> dict[str, str]:
        """Files with one of the suffixes, by their path in ``folder`` without suffix."""
        found: dict[str, str] = {}
        for name in self.below(folder, suffixes):
            key = stem(posixpath.relpath(name, folder or "."))
            if key in found:
                raise DataError(
                    f"{self.path(name)} and {posixpath.basename(found[key])} share a name; "
                    "keep one of them"
                )
            found[key] = name
        return found

    def locate(self, written: str, near: Iterable[str]) -> str | None:
        """The image that a label file calls ``written``, or None if there is none.

        Looked for in each folder of ``near``, then anywhere by its base name, if only one file
        has that: tools write the path of a server or of the machine the labelling was done on.

        Raises:
            DataError: several files fit equally well.
        """
        wanted = plain(written)
        if not wanted.startswith(("/", "../")):
            for folder in near:
                found = self.names.find(posixpath.normpath(posixpath.join(folder, wanted)))
                if found is not None:
                    return found
        base = self._by_base.find(posixpath.basename(wanted))
        if base is None:
            return None
        places = self._places[base]
        if len(places) > 1:
            raise DataError(
                f"{written!r} may be {self.path(places[0])} or {self.path(places[1])}; "
                "give the images different names, or keep the folders as they were exported"
            )
        return places[0]


def read_tree(path: Path) -> Tree:
    """List a data set's folder, or unpack a zip and list that.

    A folder that holds nothing but one folder is left for that one, as archives often are packed.

    Raises:
        DataError: the path is neither, the zip is refused (``archive.unpacked``), or a link leads
            out of the set.
    """
    if is_archive(path):
        path = unpacked(path)
    if not path.is_dir():
        what = "is not a folder or a zip" if path.exists() else "is missing"
        raise DataError(f"{path} {what}; expected the folder or the zip of a data set")
    tree = Tree(path, tuple(sorted(_walk(path))))
    top = {name.partition("/")[0] for name in tree.files}
    while len(top) == 1 and tree.files and all("/" in name for name in tree.files):
        (inner,) = top
        if inner in LAYOUT_FOLDERS:
            break
        files = tuple(name.partition("/")[2] for name in tree.files)
        tree = Tree(tree.root / inner, files)
        top = {name.partition("/")[0] for name in files}
    return tree


# Folders whose names mean something to a reader are not left behind.
LAYOUT_FOLDERS = frozenset(
    ("train", "valid", "val", "test", "images", "annotations", "img", "ann", "leftImg8bit")
)


def _walk(root: Path) -> Iterator[str]:
    """Every file below ``root``; links are followed as long as they stay below it."""
    top = os.path.realpath(root)
    waiting, seen = [""], {top}
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"{root / folder} cannot be listed: {error.strerror}") from error
        for entry in entries:
            if entry.name.startswith(".") or entry.name in IGNORED:
                continue
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_symlink():
                _check_link(root / name, top)
            if entry.is_dir():
                real = os.path.realpath(root / name)
                if real not in seen:  # a link to a folder above would never end
                    seen.add(real)
                    waiting.append(name)
            elif entry.is_file():
                yield name


def _check_link(link: Path, top: str) -> None:
    target = os.path.realpath(link)
    if target != top and not target.startswith(top + os.sep):
        raise DataError(
            f"{link} is a link out of the data set, to {target}; copy what it points to into the "
            "set, or give the folder that holds it all"
        )
