"""Tells kinds of JSON files apart by their keys, without reading large ones whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bisenet_ros.datasets.tree import Tree

LOOKED_AT = 1 << 16  # bytes at either end
MOST_FILES = 20  # of each folder; a set of many JSON files has the same kind throughout


def ends(tree: Tree, name: str) -> str:
    """The beginning and the end of a file as Latin-1 text, with a line break between."""
    with tree.path(name).open("rb") as file:
        head = file.read(LOOKED_AT)
        size = file.seek(0, 2)
        file.seek(max(len(head), size - LOOKED_AT))
        return f"{head.decode('latin-1')}\n{file.read().decode('latin-1')}"


def keys_in(text: str, keys: tuple[str, ...]) -> int:
    """How many of the keys occur as keys of JSON."""
    return sum(bool(re.search(rf'"{key}"\s*:', text)) for key in keys)


def begins(text: str, character: str) -> bool:
    """Whether JSON text begins with the character, a byte order mark aside."""
    return text.lstrip("\u00ef\u00bb\u00bf \t\r\n").startswith(character)


def some_json(tree: Tree) -> Iterator[str]:
    """JSON files, up to ``MOST_FILES`` of each folder."""
    counts: dict[str, int] = {}
    for name in tree.below("", (".json",)):
        folder = name.rpartition("/")[0]
        counts[folder] = counts.get(folder, 0) + 1
        if counts[folder] <= MOST_FILES:
            yield name
