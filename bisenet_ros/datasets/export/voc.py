"""Writes PASCAL VOC's layout with class_names.txt, see ``datasets.voc``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bisenet_ros.datasets.class_list import voc_colour
from bisenet_ros.datasets.export.base import (
    check_names,
    copy_image,
    indexed_png,
    own_colours,
    write,
)
from bisenet_ros.datasets.segmentation_class import LISTS, MASKS, PICTURES
from bisenet_ros.datasets.voc import NAMES
from bisenet_ros.labels import UNLABELLED, LabelSet


class VocExporter:
    """Writes masks whose indices are the ids; 255, VOC's border, is what is unlabelled."""

    def __init__(self, out: Path, labels: LabelSet) -> None:
        check_names(labels)
        self._out = out
        self._labels = labels
        self._names: dict[str, list[str]] = {}
        border = voc_colour(UNLABELLED)
        self._palette = np.array([voc_colour(i) for i in range(256)], np.uint8)
        self._palette[: len(labels)] = own_colours(labels, (border,))

    def add(self, split: str, name: str, image: Path, ids: np.ndarray) -> None:
        copy_image(image, self._out / PICTURES[0], name)
        write(self._out / MASKS[0] / f"{name}.png", indexed_png(ids, self._palette))
        self._names.setdefault(split, []).append(name)

    def finish(self) -> None:
        text = "".join(f"{name}\n" for name in self._labels.names)
        write(self._out / NAMES, text.encode())
        for split, names in self._names.items():
            listed = "".join(f"{name}\n" for name in names)
            write(self._out / LISTS / f"{split}.txt", listed.encode())
