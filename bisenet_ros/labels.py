"""Label sets: the names and colours of the classes that mask ids stand for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

UNLABELLED = 255  # the id of pixels without a class, in masks and in training labels


@dataclass(frozen=True)
class LabelSet:
    """Class names and colours, in the order of their ids.

    Attributes:
        names: one name per class; id i is ``names[i]``.
        colours: one (red, green, blue) per class, 0–255.
        ignore: the id of pixels that have no class.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    ignore: int = UNLABELLED

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= UNLABELLED:
            raise ValueError(
                f"the label set has {len(self.names)} classes; expected 1 to {UNLABELLED}, "
                "since ids are bytes and 255 means unlabelled"
            )
        if len(self.names) != len(self.colours):
            raise ValueError(
                f"the label set has {len(self.names)} names and {len(self.colours)} colours; "
                "expected as many of each"
            )
        for name in self.names:
            if not name.isprintable() or not name.strip():
                raise ValueError(f"class name {name!r} is empty or not printable")
        for name, colour in zip(self.names, self.colours, strict=True):
            if len(colour) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in colour):
                raise ValueError(
                    f"colour of {name!r} is {colour!r}; expected three integers from 0 to 255"
                )

    def __len__(self) -> int:
        return len(self.names)

    def palette(self) -> np.ndarray:
        """(256, 3) uint8 RGB; ids without a class are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.colours
        return table

    def to_json(self) -> str:
        """The JSON text that the node publishes on ``~/labels``."""
        classes = [
            {"id": i, "name": name, "color": list(colour)}
            for i, (name, colour) in enumerate(zip(self.names, self.colours, strict=True))
        ]
        return json.dumps({"classes": classes, "unlabelled": UNLABELLED}, ensure_ascii=False)

    @classmethod
    def read(cls, path: str | Path) -> LabelSet:
        """Read a YAML file of ``classes: [{name, color: [r, g, b]}, …]``, as in config/labels/.

        For files of this package; ``datasets.label_file`` reads those of others.
        """
        return cls.of(yaml.safe_load(Path(path).read_text(encoding="utf-8")), path)

    @classmethod
    def of(cls, data: Any, path: str | Path) -> LabelSet:
        """The classes in the content of such a file; ValueError if it has another form."""
        try:
            classes = data["classes"]
            names = tuple(str(entry["name"]) for entry in classes)
            colours = tuple(tuple(entry["color"]) for entry in classes)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{path}: expected 'classes:' with a list of 'name:' and 'color: [r, g, b]' "
                f"({type(error).__name__}: {error})"
            ) from error
        return cls(names, colours)
