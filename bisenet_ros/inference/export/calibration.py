"""Images that set the ranges of int8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

MOST = 128  # images; the ranges no longer change with more


class ReadableImages(Protocol):
    """A labelled data set, of which only the images are used here."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, 3) uint8 RGB and its ids."""


def calibration_images(labelled: ReadableImages, size: tuple[int, int]) -> Sequence[np.ndarray]:
    """Up to ``MOST`` images, evenly chosen, at the input's size.

    Args:
        labelled: at least one image.
        size: (height, width) of the network's input.

    Returns:
        (height, width, 3) uint8 RGB each.
    """
    chosen = range(0, len(labelled), -(-len(labelled) // MOST))
    return [cv2.resize(labelled.read(index)[0], (size[1], size[0])) for index in chosen]
