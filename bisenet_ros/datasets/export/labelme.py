"""Writes labelme's JSON beside each image, a folder a split, see ``datasets.labelme``."""

from __future__ import annotations

import base64
import json
import posixpath
from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.datasets.export.base import (
    background_of,
    check_names,
    copy_image,
    png,
    write,
)
from bisenet_ros.labels import UNLABELLED, LabelSet

NO_CLASS, BACKGROUND = "__ignore__", "_background_"  # as labelme's own converters call them
VERSION = "5.5.0"  # of labelme, the first whose masks can be edited


class LabelmeExporter:
    """Writes one mask a class and image, and labels.txt in the order of the ids."""

    def __init__(self, out: Path, labels: LabelSet) -> None:
        check_names(labels)
        self._out = out
        self._background = background_of(labels)
        self._names = [
            BACKGROUND if index == self._background else name
            for index, name in enumerate(labels.names)
        ]

    def add(self, split: str, name: str, image: Path, ids: np.ndarray) -> None:
        file = copy_image(image, self._out / split, name)
        shapes = []
        for id in np.unique(ids).tolist():
            if id == self._background or (id == UNLABELLED and self._background is None):
                continue  # what no shape covers
            shapes.append(_shape(ids == id, NO_CLASS if id == UNLABELLED else self._names[id]))
        data = {
            "version": VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": posixpath.basename(file),
            "imageData": None,
            "imageHeight": ids.shape[0],
            "imageWidth": ids.shape[1],
        }
        text = json.dumps(data, ensure_ascii=False, indent=2)
        write(self._out / split / f"{name}.json", text.encode())

    def finish(self) -> None:
        lines = [NO_CLASS, *self._names]
        write(self._out / "labels.txt", "".join(f"{line}\n" for line in lines).encode())


def _shape(mask: np.ndarray, label: str) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = map(int, (rows[0], rows[-1], columns[0], columns[-1]))
    patch = mask[top : bottom + 1, left : right + 1].astype(np.uint8) * 255
    return {
        "label": label,
        "points": [[left, top], [right, bottom]],
        "group_id": None,
        "description": "",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(png(patch)).decode(),
    }
