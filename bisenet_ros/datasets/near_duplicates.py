"""Finds images that are in two splits: what is learnt and then scored flatters the score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 16  # differences a row and rows
MOST_DIFFERENT = 12  # bits of SIDE²; JPEG of quality 30 changes up to 8, another frame over 20
MOST_CONTRAST = 8.0  # grey levels between two thumbnails; flat images have no differences to hash
_ROWS = 1024  # compared at once


@dataclass(frozen=True)
class Fingerprint:
    """What an image looks like, from afar.

    Attributes:
        bits: (SIDE²,) bool: whether each part is darker than the one to its right.
        thumbnail: (SIDE, SIDE) uint8 grey.
    """

    bits: np.ndarray
    thumbnail: np.ndarray


def fingerprint(image: np.ndarray) -> Fingerprint:
    """Of an image (H, W, 3) uint8 RGB, whatever its size.

    A difference hash (Krawetz, "Kind of Like That", 2013): it survives other sizes, compression and
    light, and does not survive cropping or mirroring.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA)
    bits = (small[:, :-1] < small[:, 1:]).reshape(-1)
    return Fingerprint(bits, small[:, :SIDE])


def shared_between(
    splits: Mapping[str, Mapping[int, Fingerprint]],
) -> Iterator[tuple[str, int, str, int]]:
    """Pairs of images that look the same, of two splits: (split, index, split, index).

    Args:
        splits: the fingerprints of each split's images by their index.
    """
    names = list(splits)
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            for one, other in _pairs(splits[first], splits[second]):
                yield first, one, second, other


def _pairs(
    first: Mapping[int, Fingerprint], second: Mapping[int, Fingerprint]
) -> Iterator[tuple[int, int]]:
    if not first or not second:
        return
    theirs = list(second)
    # Bits as −1 and 1: their product over all bits is their number less twice the differences.
    right = _signs([second[index] for index in theirs])
    ours = list(first)
    for start in range(0, len(ours), _ROWS):
        part = ours[start : start + _ROWS]
        left = _signs([first[index] for index in part])
        different = (SIDE * SIDE - left @ right.T) / 2
        for row, column in np.argwhere(different <= MOST_DIFFERENT).tolist():
            one, other = part[row], theirs[column]
            if _contrast(first[one], second[other]) <= MOST_CONTRAST:
                yield one, other


def _signs(prints: list[Fingerprint]) -> np.ndarray:
    return np.stack([each.bits for each in prints]).astype(np.float32) * 2 - 1


def _contrast(one: Fingerprint, other: Fingerprint) -> float:
    difference = one.thumbnail.astype(np.float32) - other.thumbnail
    return float(np.abs(difference - difference.mean()).mean())
