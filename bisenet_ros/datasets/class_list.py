"""The classes of a set that a labelling tool exported: names, ids, colours, what is no class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisenet_ros.datasets.decoding import Colour
from bisenet_ros.datasets.tree import Tree
from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED, LabelSet

BACKGROUND = "background"
# What tools call the pixels that nobody drew over, and the pixels that are not to be learnt.
BACKGROUND_NAMES = frozenset({BACKGROUND, "_background_", "__background__"})
UNLABELLED_NAMES = frozenset(
    {"unlabelled", "unlabeled", "ignore", "ignored", "__ignore__", "_ignore_", "void"}
)
NAME_FILES = ("labels.txt", "classes.txt", "class_names.txt")


@dataclass(frozen=True)
class ClassList:
    """How the names in label files become ids.

    Attributes:
        labels: the classes.
        ids: the id of every name in the files, 255 for names that are no class.
        rest: the id of pixels that no region covers.
    """

    labels: LabelSet
    ids: Mapping[str, int]
    rest: int


def class_list(
    names: Sequence[str], colours: Mapping[str, Colour], where: Path | str, *, drawn: bool
) -> ClassList:
    """Sort out the names that a tool lists, in their order.

    Names such as ``void`` and ``__ignore__`` (``UNLABELLED_NAMES``) are no classes: their pixels
    are unlabelled. ``_background_`` is the class ``background``. For files of regions (``drawn``),
    a pixel that no region covers belongs to ``background`` if that is listed, is unlabelled if
    there is a name for unlabelled pixels, and otherwise a class ``background`` is put in front, as
    the tools' own converters do: people who draw objects mean that the rest is none.

    Args:
        names: as the tool has them, each once.
        colours: of some or all of them.
        where: the file that lists them, for errors.
        drawn: whether the set consists of regions on images.

    Raises:
        DataError: a name is there twice, there are none, or more than 255.
    """
    for name in names:
        if list(names).count(name) > 1:
            raise DataError(f"{where} lists the class {name!r} twice; give each class its own name")
    no_class = [name for name in names if name.strip().casefold() in UNLABELLED_NAMES]
    classes = [name for name in names if name not in no_class]
    background = [name for name in classes if name.strip().casefold() in BACKGROUND_NAMES]
    if len(background) > 1:
        raise DataError(f"{where} lists both {background[0]!r} and {background[1]!r}; keep one")
    if drawn and not background and not no_class:
        classes.insert(0, BACKGROUND)
        background = [BACKGROUND]
    if not 1 <= len(classes) <= UNLABELLED:
        raise DataError(
            f"{where} lists {len(classes)} classes; expected 1 to {UNLABELLED}, since ids are bytes"
        )
    shown = [BACKGROUND if name in background else name for name in classes]
    ids = {name: index for index, name in enumerate(classes)}
    return ClassList(
        labels=LabelSet(tuple(shown), tuple(_colours(classes, colours, background))),
        ids=ids | dict.fromkeys(no_class, UNLABELLED),
        rest=ids[background[0]] if background else UNLABELLED,
    )


def _colours(
    names: Sequence[str], given: Mapping[str, Colour], background: Sequence[str]
) -> list[Colour]:
    """A colour of its own for each name: the given one, else the first that nobody has."""
    taken = set(given.values()) | {voc_colour(0)}
    spare = (voc_colour(i) for i in range(1, 1 << 16))
    found = []
    for name in names:
        if name in given:
            found.append(given[name])
        elif name in background and voc_colour(0) not in given.values():
            found.append(voc_colour(0))
        else:
            found.append(next(colour for colour in spare if colour not in taken))
    return found


def voc_colour(index: int) -> Colour:
    """PASCAL VOC's colour of an id, RGB: the bits of the id dealt out to the channels, high first.

    Black is 0. The source is ``VOClabelcolormap.m`` of the VOC development kit; CVAT and labelme
    use the same ones.
    """
    red = green = blue = 0
    for bit in range(7, -1, -1):
        red |= (index & 1) << bit
        green |= (index >> 1 & 1) << bit
        blue |= (index >> 2 & 1) << bit
        index >>= 3
    return red, green, blue


def hex_colour(text: Any) -> Colour | None:
    """``#rrggbb`` as RGB; None if it is none."""
    if not isinstance(text, str) or len(text) != 7 or not text.startswith("#"):
        return None
    try:
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    except ValueError:
        return None


def rgb_colour(value: Any) -> Colour | None:
    """A list of three bytes, or ``#rrggbb``, as RGB; None if it is neither."""
    if isinstance(value, (list, tuple)) and len(value) in (3, 4):
        parts = value[:3]
        if all(isinstance(part, int) and 0 <= part <= 255 for part in parts):
            return parts[0], parts[1], parts[2]
    return hex_colour(value)


def listed_names(tree: Tree) -> tuple[list[str], Path] | None:
    """The names in labels.txt, classes.txt or class_names.txt, one a line; None without one.

    labelme's ``--labels`` takes such a file; its converters and those of Label Studio write one.
    """
    for file in NAME_FILES:
        found = tree.names.find(file)
        if found is not None:
            path = tree.path(found)
            return name_lines(path), path
    return None


def name_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def names_in_order(
    used: Iterable[str], listed: tuple[list[str], Path] | None
) -> tuple[list[str], Path | None]:
    """The names of a set without a list of its own: the user's list, or those used, by alphabet.

    Returns:
        The names, and the file of the list.

    Raises:
        DataError: a name is used that the list does not hold.
    """
    seen = set(used)
    if listed is None:
        return sorted(seen), None
    names, path = listed
    known = set(names)
    missing = sorted(seen - known)
    if missing and missing[0].casefold() not in BACKGROUND_NAMES | UNLABELLED_NAMES:
        raise DataError(
            f"{path} does not list {missing[0]!r}, which labels use; add it as a line of its own"
        )
    return [*names, *missing], path
