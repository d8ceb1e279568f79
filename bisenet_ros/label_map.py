"""The network's classes grouped into those that a consumer of the masks knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED, LabelSet
from bisenet_ros.system.yaml_file import read_yaml

OTHER = "other"  # takes what is not listed, in a list of names
OTHER_COLOUR = (128, 128, 128)
_KEYS = {"id", "name", "color", "from", "if_present", "rest"}
_FORM = (
    "expected 'classes:' with a list of '{id: 0, name: ground, color: [r, g, b], from: [road, …]}'"
)


@dataclass(frozen=True)
class LabelMap:
    """Groups of classes, in the consumer's order.

    Attributes:
        labels: the consumer's classes; id i is the i-th. Ids that the consumer does not use are
            named ``unused i`` and no pixel gets them.
        groups: for each class of the network the consumer's id, 255 for none.
        unlabelled: what unlabelled pixels become: 255, or the group that takes the rest.
    """

    labels: LabelSet
    groups: tuple[int, ...]
    unlabelled: int = UNLABELLED

    def table(self) -> np.ndarray:
        """(256,) uint8: a mask's id → the consumer's; for ``cv2.LUT`` or ``table[mask]``."""
        table = np.full(256, self.unlabelled, np.uint8)
        table[: len(self.groups)] = self.groups
        return table

    def matrix(self) -> np.ndarray:
        """(consumer's classes, network's classes) float32 of 0 and 1.

        Times the network's probabilities, (classes, …), it gives those of the groups: a pixel's
        confidence is the sum over the classes of its group.
        """
        groups = np.array(self.groups)
        return (groups == np.arange(len(self.labels))[:, None]).astype(np.float32)

    def sources(self, labels: LabelSet) -> dict[str, tuple[str, ...]]:
        """The names that each group takes of the classes ``labels`` it was made for."""
        named = list(zip(labels.names, self.groups, strict=True))
        return {
            group: tuple(name for name, number in named if number == index)
            for index, group in enumerate(self.labels.names)
        }

    @classmethod
    def parse(cls, text: str, labels: LabelSet) -> LabelMap:
        """A map from a command line: a file of :meth:`read`, or names such as ``road,car,other``.

        Of a list of names, each is a class of its own, in this order; pixels of the classes that
        are not listed become unlabelled, or ``other`` if it is listed and is not itself a class.

        Raises:
            DataError: as :meth:`read`; a name is unknown (the known are listed) or given twice.
        """
        if Path(text).suffix.lower() in (".yaml", ".yml"):
            return cls.read(text, labels)
        names = [name.strip() for name in text.split(",")]
        known = {name: index for index, name in enumerate(labels.names)}
        for name in names:
            if names.count(name) > 1:
                raise DataError(f"classes {text!r} name {name!r} twice; name it once")
            if name not in known and name != OTHER:
                raise DataError(
                    f"classes {text!r} name {name!r}, which is not a class here; expected names "
                    f"of {', '.join(labels.names)}, {OTHER}, or a YAML file that groups them"
                )
        if not set(names) & set(known):
            raise DataError(f"classes {text!r} name none of {', '.join(labels.names)}")
        rest = names.index(OTHER) if OTHER in names and OTHER not in known else UNLABELLED
        colours = tuple(labels.colours[known[n]] if n in known else OTHER_COLOUR for n in names)
        numbers = {name: number for number, name in enumerate(names)}
        groups = tuple(numbers.get(name, rest) for name in labels.names)
        return cls(LabelSet(tuple(names), colours), groups)

    @classmethod
    def read(cls, path: str | Path, labels: LabelSet) -> LabelMap:
        """Read a map such as config/label_maps/nav2_ground.yaml.

        ``from`` lists classes of the network, ``if_present`` such as it may lack, so that one map
        fits networks of several data sets. ``rest: true`` makes one group take what no group lists,
        and unlabelled pixels; without it those are 255.

        Args:
            path: the file.
            labels: the network's classes.

        Raises:
            DataError: the file cannot be read, has another form, names a class that the network
                does not have (those it has are listed) or one twice, an id or a name twice, an id
                that is not 0–254, a colour that is not three of 0–255, or matches no class at all.
        """
        content = read_yaml(path)
        entries = content.get("classes") if isinstance(content, dict) else None
        if not isinstance(entries, list) or not entries:
            raise DataError(f"{path}: {_FORM}")
        groups: dict[str, int] = {}
        classes: dict[int, tuple[str, tuple[int, int, int]]] = {}
        rest = UNLABELLED
        for entry in entries:
            number, name, colour = _consumer_class(entry, path)
            if number in classes or name in (known for known, _ in classes.values()):
                raise DataError(f"{path}: id {number} or name {name!r} is given twice")
            classes[number] = name, colour
            for source in _sources(entry, labels.names, path):
                if groups.setdefault(source, number) != number:
                    first = classes[groups[source]][0]
                    raise DataError(
                        f"{path}: {source!r} is in {first!r} and in {name!r}; choose one"
                    )
            if entry.get("rest"):
                if rest != UNLABELLED:
                    raise DataError(f"{path}: two classes have 'rest: true'; choose one")
                rest = number
        if not groups:
            raise DataError(
                f"{path}: none of its names is a class of this network, which has "
                f"{', '.join(labels.names)}"
            )
        return cls(
            _label_set(classes), tuple(groups.get(name, rest) for name in labels.names), rest
        )


def _consumer_class(entry: Any, path: str | Path) -> tuple[int, str, tuple[int, int, int]]:
    """id, name and colour of one entry."""
    if not isinstance(entry, dict) or not entry.keys() >= {"id", "name", "color"}:
        raise DataError(f"{path}: found {entry!r}; {_FORM}")
    if unknown := entry.keys() - _KEYS:
        raise DataError(
            f"{path}: {entry['name']!r} has {', '.join(map(str, unknown))}; known are "
            f"{', '.join(sorted(_KEYS))}"
        )
    number, name, colour = entry["id"], str(entry["name"]), entry["color"]
    if not _is_byte(number) or number == UNLABELLED:
        raise DataError(f"{path}: the id of {name!r} is {number!r}; expected 0 to 254")
    if not isinstance(colour, list) or len(colour) != 3 or not all(map(_is_byte, colour)):
        raise DataError(f"{path}: the color of {name!r} is {colour!r}; expected three of 0–255")
    return number, name, (colour[0], colour[1], colour[2])


def _sources(entry: dict[str, Any], known: Sequence[str], path: str | Path) -> list[str]:
    """Names of the network's classes that an entry takes."""
    names: list[str] = []
    for key in ("from", "if_present"):
        listed = entry.get(key) or []
        if not isinstance(listed, list):
            raise DataError(f"{path}: {key!r} of {entry['name']!r} is {listed!r}; expected a list")
        for name in map(str, listed):
            if name in names:
                raise DataError(f"{path}: {entry['name']!r} takes {name!r} twice")
            names.append(name)
            if key == "from" and name not in known:
                raise DataError(
                    f"{path}: the network has no class {name!r}; its classes are {', '.join(known)}"
                )
    return [name for name in names if name in known]


def _label_set(classes: dict[int, tuple[str, tuple[int, int, int]]]) -> LabelSet:
    listed = [classes.get(i, (f"unused {i}", (0, 0, 0))) for i in range(max(classes) + 1)]
    return LabelSet(tuple(name for name, _ in listed), tuple(colour for _, colour in listed))


def _is_byte(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255
