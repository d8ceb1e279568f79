"""Writes a folder of images/ and masks/ with labels.yaml, see ``datasets.folder``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from bisenet_ros.datasets.export.base import copy_image, own_colours, png, write
from bisenet_ros.labels import UNLABELLED, LabelSet


class FolderExporter:
    """Writes masks of ids, and a list of names for each split."""

    def __init__(self, out: Path, labels: LabelSet) -> None:
        self._out = out
        self._labels = labels
        self._names: dict[str, list[str]] = {}

    def add(self, split: str, name: str, image: Path, ids: np.ndarray) -> None:
        copy_image(image, self._out / "images", name)
        write(self._out / "masks" / f"{name}.png", png(ids))
        self._names.setdefault(split, []).append(name)

    def finish(self) -> None:
        classes = [
            {"name": name, "color": list(colour)}
            for name, colour in zip(self._labels.names, own_colours(self._labels), strict=True)
        ]
        # Said even though it goes without saying: masks of 0 and 255 alone are read otherwise.
        data = {"classes": classes, "ignore": [UNLABELLED]}
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        write(self._out / "labels.yaml", text.encode())
        for split, names in self._names.items():
            write(self._out / f"{split}.txt", "".join(f"{name}\n" for name in names).encode())
