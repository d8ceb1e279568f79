"""What the tests of real exports' quirks share: the images, and how a set is read or changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from drawn import drawn_images

from bisenet_ros.datasets import DatasetOptions, LabelledSet
from bisenet_ros.datasets.registry import open_every_split

IMAGES = drawn_images(2, 1)


def ids_of(root: Path, name: str = "t0") -> np.ndarray:
    """The ids of an image, whichever split it is in."""
    for labelled in open_every_split("auto", root)[1].values():
        for index, sample in enumerate(labelled.samples):
            if sample.name.split("/")[-1].startswith(name):
                return labelled.read(index)[1]
    raise AssertionError(f"{name} is in no split")


def everything(root: Path, **options: Any) -> LabelledSet:
    """All images, in one split."""
    _, splits = open_every_split("auto", root, DatasetOptions(**options))
    return next(iter(splits.values()))


def edit(path: Path, change: Any) -> None:
    """Change a JSON file in place."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
