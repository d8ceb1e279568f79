"""Writes CVAT's "Segmentation mask 1.1", which CVAT imports as it is, see ``datasets.cvat``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bisenet_ros.datasets.class_list import BACKGROUND, voc_colour
from bisenet_ros.datasets.cvat import LABEL_MAP, REST_IS_UNLABELLED
from bisenet_ros.datasets.export.base import (
    background_of,
    check_names,
    copy_image,
    own_colours,
    png,
    write,
)
from bisenet_ros.datasets.segmentation_class import LISTS, MASKS, PICTURES
from bisenet_ros.labels import UNLABELLED, LabelSet

BLACK = voc_colour(0)  # what CVAT takes for "nothing drawn here", whatever it is called
NO_CLASS = "unlabelled"


class CvatExporter:
    """Writes masks in colours, one object a class and image, and every class in labelmap.txt.

    Black is the class ``background`` if there is one. If there is none, black is what is
    unlabelled, and a comment in labelmap.txt says so to us.
    """

    def __init__(self, out: Path, labels: LabelSet) -> None:
        check_names(labels, ":\n\r")
        self._out = out
        self._names: dict[str, list[str]] = {}
        self._labels = labels
        self._background = background_of(labels)
        colours = own_colours(labels, (BLACK,))
        self._palette = np.zeros((256, 3), np.uint8)
        self._palette[: len(colours)] = colours
        self._holes = False  # whether anything is unlabelled beside a class background
        self._no_class = BLACK
        if self._background is not None:
            self._palette[self._background] = BLACK
            taken = {tuple(colour) for colour in self._palette.tolist()}
            self._no_class = next(c for i in range(1, 1 << 16) if (c := voc_colour(i)) not in taken)
            self._palette[UNLABELLED] = self._no_class

    def add(self, split: str, name: str, image: Path, ids: np.ndarray) -> None:
        copy_image(image, self._out / PICTURES[0], name)
        write(self._out / MASKS[0] / f"{name}.png", png(self._palette[ids]))
        write(self._out / "SegmentationObject" / f"{name}.png", png(self._objects()[ids]))
        self._names.setdefault(split, []).append(name)
        self._holes |= self._background is not None and bool((ids == UNLABELLED).any())

    def _objects(self) -> np.ndarray:
        """(256, 3) colours that number the objects: each class's region is one; black is none."""
        numbers = np.array([voc_colour(i + 1) for i in range(256)], np.uint8)
        nothing = UNLABELLED if self._background is None else self._background
        numbers[nothing] = BLACK
        return numbers

    def finish(self) -> None:
        lines = ["# label:color_rgb:parts:actions"]
        if self._background is None:
            lines += [REST_IS_UNLABELLED, _line(BACKGROUND, BLACK)]
        for index, name in enumerate(self._labels.names):
            shown = BACKGROUND if index == self._background else name
            lines.append(_line(shown, self._palette[index].tolist()))
        if self._holes:
            lines.append(_line(NO_CLASS, self._no_class))
        write(self._out / LABEL_MAP, "".join(f"{line}\n" for line in lines).encode())
        for split, names in self._names.items():
            text = "".join(f"{name}\n" for name in names)
            write(self._out / LISTS / f"{split}.txt", text.encode())


def _line(name: str, colour: tuple[int, ...] | list[int]) -> str:
    return f"{name}:{','.join(map(str, colour))}::"
