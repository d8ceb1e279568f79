"""Maps the ids or colours in label files to class ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from bisenet_ros.datasets.base import Sample
from bisenet_ros.datasets.pictures import read_label
from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Decoder:
    """Reads label files of one data set; used as ``LabelledSet.decode``.

    Attributes:
        ids: class of each id allowed in the files, 255 for ids without a class. 255 itself is
            always allowed in a file.
        colours: the same for each colour allowed in the files.
        listed: where ids and colours are listed, for errors: "labels.yaml", "Cityscapes' list".
    """

    ids: Mapping[int, int]
    colours: Mapping[Colour, int] = field(default_factory=dict)
    listed: str = "the set's list"

    def __call__(self, sample: Sample) -> np.ndarray:
        """The classes of the sample's label file, see ``read``."""
        return self.read(sample.label)

    def read(self, path: Path) -> np.ndarray:
        """The file's classes, (H, W) uint8 with 255 for unlabelled.

        Raises:
            DataError: the file is unreadable, or contains an unlisted id or colour.
        """
        return self.of(read_label(path), path)

    def of(self, pixels: np.ndarray, path: Path) -> np.ndarray:
        """The classes of ids (H, W) or colours (H, W, 3), uint8, read from ``path``."""
        return self._of_ids(pixels, path) if pixels.ndim == 2 else self._of_colours(pixels, path)

    def _of_ids(self, pixels: np.ndarray, path: Path) -> np.ndarray:
        known = {UNLABELLED: UNLABELLED, **self.ids}
        classes = np.full(256, UNLABELLED, np.uint8)
        classes[list(known)] = list(known.values())
        stray = np.ones(256, np.uint8)
        stray[list(known)] = 0
        wrong = cv2.LUT(pixels, stray)
        if wrong.any():
            raise DataError(
                f"{path} contains id {pixels[wrong > 0][0]} at {_first(wrong)}; {self.listed} has "
                f"{ranges(known)}: correct the file, or list the id"
            )
        return cv2.LUT(pixels, classes)

    def _of_colours(self, pixels: np.ndarray, path: Path) -> np.ndarray:
        if not self.colours:
            raise DataError(f"{path} is a colour image; expected one channel of 8-bit ids")
        packed = _pack(pixels)
        keys = np.array([_pack(np.array(colour)) for colour in self.colours], np.int32)
        order = np.argsort(keys)
        keys, classes = keys[order], np.array(list(self.colours.values()), np.uint8)[order]
        places = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
        wrong = keys[places] != packed
        if wrong.any():
            colour = tuple(int(c) for c in pixels[wrong][0])
            raise DataError(
                f"{path} contains colour {colour} at {_first(wrong)}; {self.listed} has "
                f"{len(keys)} colours but not this one: correct the file, or list the colour"
            )
        return classes[places]


def _pack(colours: np.ndarray) -> np.ndarray:
    """(..., 3) RGB of 0–255 packed into (...) int32."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return (red << 16) | (green << 8) | blue


def _first(wrong: np.ndarray) -> str:
    """Position of the first non-zero pixel of (H, W)."""
    row, column = np.unravel_index(int(np.argmax(wrong > 0)), wrong.shape)
    return f"row {row}, column {column}"


def ranges(ids: Iterable[int]) -> str:
    """Ranges of numbers: "0 to 10 and 255"."""
    runs: list[list[int]] = []
    for number in sorted(ids):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    said = [str(low) if low == high else f"{low} to {high}" for low, high in runs]
    return " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
