"""The YAML file that lists classes with their ids and colours; see ``read_label_file``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisenet_ros.datasets.class_list import voc_colour
from bisenet_ros.datasets.decoding import Colour, Decoder
from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED, LabelSet
from bisenet_ros.system.yaml_file import read_yaml


@dataclass(frozen=True)
class LabelFile:
    """A label set, and its encoding in label files.

    Attributes:
        labels: names and colours of the classes.
        ids: the id of each class in label files.
        ignored_ids, ignored_colours: further ids and colours in label files, all unlabelled.
        source, licence: texts for the model card, empty if not given.
        resolution: (height, width) to train at, if given.
        path: the file it was read from.
        coloured: whether it lists colours; otherwise those of ``labels`` were chosen here, and no
            label file holds them.
    """

    labels: LabelSet
    ids: tuple[int, ...]
    ignored_ids: tuple[int, ...]
    ignored_colours: tuple[Colour, ...]
    source: str
    licence: str
    resolution: tuple[int, int] | None
    path: Path
    coloured: bool = True

    def decoder(self, kept: tuple[int, ...] | None = None) -> Decoder:
        """Decoder of label files; classes in ``kept`` become 0, 1, …, others unlabelled."""
        kept = tuple(range(len(self.labels))) if kept is None else kept
        classes = [kept.index(i) if i in kept else UNLABELLED for i in range(len(self.labels))]
        ids = dict.fromkeys(self.ignored_ids, UNLABELLED) | dict(
            zip(self.ids, classes, strict=True)
        )
        colours = dict.fromkeys(self.ignored_colours, UNLABELLED)
        if self.coloured:
            colours |= dict(zip(self.labels.colours, classes, strict=True))
        return Decoder(ids, colours, self.path.name)


def read_label_file(path: Path) -> LabelFile:
    """Read a YAML file like those in config/labels/.

    ``classes: [{name, color: [r, g, b], id}, …]``, where ``id`` is the class's id in the label
    files and may be omitted if the classes are listed in order from 0, and ``color`` may be omitted
    for all classes if the label files hold ids; ``ignore: [11, [0, 0, 0]]``
    lists ids and colours of pixels without a class; ``source:``, ``licence:`` and
    ``resolution: [height, width]`` are optional texts and numbers for training.

    Raises:
        DataError: the file is missing or malformed, or two classes share an id or colour.
    """
    if not path.exists():
        raise DataError(
            f"{path} cannot be read (it is missing); write one with 'classes:', and 'name:' and "
            "'color: [r, g, b]' for each, as in config/labels/camvid.yaml"
        )
    data = read_yaml(path)
    coloured = not _choose_colours(data)
    try:
        labels = LabelSet.of(data, path)
    except ValueError as error:
        reason = " ".join(str(error).replace(f"{path}: ", "").split())
        raise DataError(f"{path} is not a list of classes: {reason}") from error
    ids = tuple(entry.get("id", i) for i, entry in enumerate(data["classes"]))
    ignored = data.get("ignore") or []
    if not isinstance(ignored, list):
        raise DataError(f"{path} has ignore: {ignored!r}; expected a list, such as [11, [0, 0, 0]]")
    numbers = tuple(entry for entry in ignored if not isinstance(entry, list))
    colours = tuple(tuple(entry) for entry in ignored if isinstance(entry, list))
    _check_ids((*ids, *numbers), path)
    _check_colours((*labels.colours, *colours), path)
    return LabelFile(
        labels=labels,
        ids=ids,
        ignored_ids=numbers,
        ignored_colours=colours,
        source=str(data.get("source") or ""),
        licence=str(data.get("licence") or ""),
        resolution=_resolution(data.get("resolution"), path),
        path=path,
        coloured=coloured,
    )


def _choose_colours(data: Any) -> bool:
    """Give every class a colour if none has one; whether that was so."""
    classes = data.get("classes") if isinstance(data, dict) else None
    if not isinstance(classes, list) or not all(isinstance(entry, dict) for entry in classes):
        return False  # refused later
    if any("color" in entry for entry in classes):
        return False
    for index, entry in enumerate(classes, 1):
        entry["color"] = list(voc_colour(index))
    return True


def _check_ids(ids: tuple[Any, ...], path: Path) -> None:
    for number in ids:
        if not _is_id(number) or ids.count(number) > 1:
            raise DataError(
                f"{path} lists id {number!r} {ids.count(number)}×; expected each id once, "
                "as a whole number from 0 to 65535"
            )


def _check_colours(colours: tuple[tuple[Any, ...], ...], path: Path) -> None:
    for colour in colours:
        if len(colour) != 3 or not all(_is_byte(part) for part in colour):
            raise DataError(f"{path} ignores colour {colour!r}; expected [r, g, b], each 0–255")
        if colours.count(colour) > 1:
            raise DataError(
                f"{path} lists colour {colour} {colours.count(colour)}×; give each class its own"
            )


def _resolution(value: Any, path: Path) -> tuple[int, int] | None:
    if value is None:
        return None
    sides = value if isinstance(value, list) else []
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise DataError(f"{path} has resolution {value!r}; expected [height, width] in pixels")
    return sides[0], sides[1]


def _is_id(value: Any) -> bool:
    """Masks may have 16 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFFFF


def _is_byte(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255
