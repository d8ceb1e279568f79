"""Finds file names by what somebody else wrote of them."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable

from bisenet_ros.errors import DataError


class Names:
    """File names to be found exactly, or in another case or Unicode form if only one fits.

    A file "Übung.PNG" may be called "übung.png" by a tool on Windows, and its Ü be two characters
    on a Mac and one elsewhere.

    Args:
        names: POSIX paths.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._exact = set(names)
        self._folded: dict[str, list[str]] = {}
        for name in sorted(self._exact):
            self._folded.setdefault(fold(name), []).append(name)

    def find(self, name: str) -> str | None:
        """The name as it is on disk, or None.

        Raises:
            DataError: several differ from it by case or Unicode form alone.
        """
        if name in self._exact:
            return name
        found = self._folded.get(fold(name), [])
        if len(found) > 1:
            raise DataError(
                f"{name!r} may be {found[0]!r} or {found[1]!r}, which differ by case or Unicode "
                "form alone; rename one of them, or write the name as it is on disk"
            )
        return found[0] if found else None


def fold(name: str) -> str:
    """The name in one case and Unicode form (NFC, Unicode Standard Annex 15)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def plain(name: str) -> str:
    """A path from a label file as a POSIX path: backslashes turned, ``.`` and ``..`` resolved.

    What begins with ``../`` or ``/`` afterwards leads out of the folder it is relative to.
    """
    return posixpath.normpath(name.strip().replace("\\", "/"))


# Folders that hold images in some format, and say nothing else.
IMAGE_FOLDERS = frozenset({"images", "img", "data", "jpegimages"})


def sample_name(image: str) -> str:
    """What an image is called: its path without suffix and without folders such as images/."""
    *folders, base = stem(image).split("/")
    return "/".join([*(f for f in folders if f.casefold() not in IMAGE_FOLDERS), base])


def stem(name: str) -> str:
    """The path without suffix; a name that starts with a dot has none."""
    return posixpath.splitext(name)[0]
