"""From what a recorded label image holds to class ids at the camera's size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED

_NONE_16, _NONE_32 = 65535, -1  # what labels with wider ids say for "no class"
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class LabelCoding:
    """How labels are written.

    Attributes:
        num_classes: of the model; ids that count are below it.
        ids: class of each id that labels may hold, 255 for ids that mean no class; empty where
            an id is its class. 255, and 65535 of 16-bit and −1 of 32-bit labels, mean no class.
        colours: class of each (red, green, blue), 255 for no class; empty where labels hold ids.
        listed: where ids and colours are listed, for errors.
    """

    num_classes: int
    ids: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] = field(default_factory=dict)
    listed: str = "the model"

    def classes(self, label: np.ndarray, what: str) -> np.ndarray:
        """Class ids of a label image.

        Args:
            label: as :meth:`ImageMessage.label` gives it.
            what: which label it is, for errors: topic and stamp.

        Returns:
            (H, W) uint8, 255 unlabelled.

        Raises:
            DataError: it holds an id or a colour that is no class.
        """
        return self._of_colours(label, what) if label.ndim == 3 else self._of_ids(label, what)

    @cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        """(256,) uint8 each: the class of each id, and 1 for ids that are no class."""
        known = self.ids or {i: i for i in range(self.num_classes)}
        known = {**known, UNLABELLED: UNLABELLED}
        table = np.full(256, UNLABELLED, np.uint8)
        table[list(known)] = list(known.values())
        stray = np.ones(256, np.uint8)
        stray[list(known)] = 0
        return table, stray

    def _of_ids(self, label: np.ndarray, what: str) -> np.ndarray:
        table, stray = self._tables
        if label.dtype != np.uint8:
            none = _NONE_16 if label.dtype == np.uint16 else _NONE_32
            label = np.where(label == none, UNLABELLED, label)
            wide = (label < 0) | (label > UNLABELLED)
            if wide.any():
                raise DataError(self._stray(label[wide][0], what))
            label = label.astype(np.uint8)
        wrong = cv2.LUT(label, stray)
        if wrong.any():
            raise DataError(self._stray(label[wrong > 0][0], what))
        return cv2.LUT(label, table)

    def _stray(self, number: int, what: str) -> str:
        expected = f"the ids of {self.listed}" if self.ids else f"0 to {self.num_classes - 1}"
        return (
            f"{what} holds id {number}, which is no class; expected {expected}, or {UNLABELLED} "
            "for unlabelled: pass a file that lists the labels' ids, or other weights"
        )

    def _of_colours(self, label: np.ndarray, what: str) -> np.ndarray:
        if not self.colours:
            raise DataError(
                f"{what} holds colours; expected class ids of one channel: pass a file that lists "
                "the colours of the classes"
            )
        keys = np.array([_packed(np.array(colour)) for colour in self.colours], np.int32)
        classes = np.array(list(self.colours.values()), np.uint8)
        order = np.argsort(keys)
        keys, classes = keys[order], classes[order]
        packed = _packed(label)
        places = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
        wrong = keys[places] != packed
        if wrong.any():
            colour = tuple(int(part) for part in label[wrong][0])
            raise DataError(
                f"{what} holds colour {colour}, which {self.listed} does not list; add it, with "
                "its class or as one to ignore"
            )
        return classes[places]


def fit(classes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Class ids at another size, (height, width), by nearest neighbour."""
    if classes.shape == shape[:2]:
        return classes
    size = (shape[1], shape[0])
    return cv2.resize(classes, size, interpolation=cv2.INTER_NEAREST_EXACT)


def _packed(colours: np.ndarray) -> np.ndarray:
    """(..., 3) RGB of 0–255 as (...) int32, one number each."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return (red << 16) | (green << 8) | blue
