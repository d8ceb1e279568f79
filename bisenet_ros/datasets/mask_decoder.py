"""From the masks that labelling tools write, of whatever kind of PNG, to class ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bisenet_ros.datasets.base import Sample
from bisenet_ros.datasets.decoding import Colour, Decoder
from bisenet_ros.datasets.pictures import read_label, read_palette
from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED


@dataclass(frozen=True)
class MaskDecoder:
    """Reads masks that hold ids of 8 or 16 bits, colours, or indices into a palette.

    An indexed PNG is read by its palette where that has the set's colours, since drawing programs
    number colours as they like, and by its indices otherwise.

    Attributes:
        ids: class of each number in the masks, 255 for what is no class; 255 itself is no class
            unless it is listed.
        colours: class of each colour, 255 for what is not a class.
        listed: where both are listed, for errors.
    """

    ids: Mapping[int, int]
    colours: Mapping[Colour, int] = field(default_factory=dict)
    listed: str = "the set's list"

    def __call__(self, sample: Sample) -> np.ndarray:
        """The classes of the sample's mask, (H, W) uint8 with 255; DataError if it is broken."""
        return self.read(sample.label)

    def read(self, path: Path) -> np.ndarray:
        """The classes of a mask file, (H, W) uint8 with 255; DataError if it is broken."""
        pixels = read_label(path, deep=True)
        if pixels.dtype == np.uint16:
            return self._of_deep(pixels, path)
        if pixels.ndim == 2:
            palette = read_palette(path)
            if palette is not None and self._lists(palette, pixels):
                pixels = palette[pixels]
        plain = {number: kind for number, kind in self.ids.items() if number <= UNLABELLED}
        decoder = Decoder(plain, self.colours, self.listed)
        return decoder.of(pixels, path)

    def _lists(self, palette: np.ndarray, pixels: np.ndarray) -> bool:
        """Whether every index in use has a colour of the set."""
        used = np.flatnonzero(np.bincount(pixels.reshape(-1)))
        if used[-1] >= len(palette):
            return False
        return all(tuple(colour) in self.colours for colour in palette[used].tolist())

    def _of_deep(self, pixels: np.ndarray, path: Path) -> np.ndarray:
        table = np.full(1 << 16, UNLABELLED, np.uint8)
        known = {UNLABELLED: UNLABELLED, 0xFFFF: UNLABELLED, **self.ids}
        table[list(known)] = list(known.values())
        used = np.flatnonzero(np.bincount(pixels.reshape(-1)))
        stray = [int(number) for number in used if number not in known]
        if stray:
            row, column = np.argwhere(pixels == stray[0])[0]
            raise DataError(
                f"{path} holds id {stray[0]} at row {row}, column {column}, and {len(stray)} ids "
                f"in all that {self.listed} has not: correct the file, or list them"
            )
        return table[pixels]
