"""Lays regions onto an image's ids, one after the other."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence

import cv2
import numpy as np

from bisenet_ros.datasets.regions.polygons import FAR, check_inside, fill

LARGEST = 1 << 28  # pixels of an image: 16384×16384
LARGEST_PATCH = 1 << 30  # bytes that a compressed patch may grow to


class Canvas:
    """The ids of an image while regions are laid onto it; later ones cover earlier ones.

    Args:
        size: (height, width).
        rest: the id of pixels that no region covers.

    Attributes:
        ids: (H, W) uint8.

    Raises:
        ValueError: the size is not one of a picture.
    """

    def __init__(self, size: tuple[int, int], rest: int) -> None:
        height, width = size
        if height < 1 or width < 1 or height * width > LARGEST:
            raise ValueError(f"its size is {width}×{height}; expected that of a picture")
        self.size = (height, width)
        self.ids = np.full(size, rest, np.uint8)

    def polygon(self, rings: Sequence[np.ndarray], id: int) -> None:
        """The pixels inside an odd number of rings, see ``polygons.fill``; ValueError if none."""
        corners = np.concatenate(rings)
        check_inside(corners, self.size)
        (left, top), (right, bottom) = corners.min(0), corners.max(0)
        x, y = max(0, int(left)), max(0, int(top))
        height = min(self.size[0], int(np.ceil(bottom)) + 1) - y
        width = min(self.size[1], int(np.ceil(right)) + 1) - x
        inside = fill([ring - (x, y) for ring in rings], (height, width))
        self.ids[y : y + height, x : x + width][inside] = id

    def through_pixels(self, outline: np.ndarray, holes: Sequence[np.ndarray], id: int) -> None:
        """A polygon whose corners are pixels: those and the edges between belong to it.

        Holes are cut out including their edges.
        """
        if np.abs(np.concatenate([outline, *holes])).max() > FAR:
            raise ValueError(f"a corner of it is more than {FAR:g} pixels away")
        check_inside(outline + 0.5, self.size)
        inside = np.zeros(self.size, np.uint8)
        cv2.fillPoly(inside, [np.rint(outline).astype(np.int32)], 1)
        if holes:
            cv2.fillPoly(inside, [np.rint(hole).astype(np.int32) for hole in holes], 0)
        self.ids[inside > 0] = id

    def mask(self, mask: np.ndarray, id: int) -> None:
        """The set pixels of a mask of the whole image, (H, W) bool."""
        self.ids[mask] = id

    def patch(self, mask: np.ndarray, left: int, top: int, id: int) -> None:
        """The set pixels of a small mask (h, w) bool whose upper left pixel is at left, top.

        What reaches over the border is cut off; ValueError if all of it does.
        """
        height, width = self.size
        y0, x0 = max(0, top), max(0, left)
        y1, x1 = min(height, top + mask.shape[0]), min(width, left + mask.shape[1])
        if y0 >= y1 or x0 >= x1:
            raise ValueError(
                f"its mask of {mask.shape[1]}×{mask.shape[0]} at {left}, {top} lies outside of the "
                f"image of {width}×{height}"
            )
        self.ids[y0:y1, x0:x1][mask[y0 - top : y1 - top, x0 - left : x1 - left]] = id


def patch_from_text(text: str) -> np.ndarray:
    """A mask written as base64 of a PNG, perhaps compressed once more, (h, w) bool.

    Where the picture has a fourth channel, opacity counts, otherwise what is not black.

    Raises:
        ValueError: it is no such text.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValueError("its mask is not base64") from error
    if not content.startswith(b"\x89PNG"):
        try:
            content = zlib.decompressobj().decompress(content, LARGEST_PATCH)
        except zlib.error as error:
            raise ValueError("its mask is neither a PNG nor compressed") from error
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError("its mask is larger than any picture") from error
    if pixels is None:
        raise ValueError("its mask is not a whole PNG")
    if pixels.ndim == 3:
        pixels = pixels[..., 3] if pixels.shape[2] == 4 else pixels.max(2)
    return pixels > 0
