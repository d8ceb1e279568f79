"""Regions on top of each other."""

from __future__ import annotations

import base64
import zlib

import cv2
import numpy as np
import pytest

from bisenet_ros.datasets.regions.canvas import Canvas, patch_from_text
from bisenet_ros.datasets.regions.polygons import points


def test_later_regions_cover_earlier_ones():
    canvas = Canvas((4, 6), 9)
    canvas.polygon([points([0, 0, 4, 0, 4, 3, 0, 3])], 1)
    canvas.mask(np.eye(4, 6, dtype=bool), 2)
    canvas.patch(np.ones((2, 3), bool), 4, 3, 3)
    canvas.polygon([points([-5, -5, 2, -5, 2, 1, -5, 1])], 4)
    assert canvas.ids.tolist() == [
        [4, 4, 1, 1, 9, 9],
        [1, 2, 1, 1, 9, 9],
        [1, 1, 2, 1, 9, 9],
        [9, 9, 9, 2, 3, 3],
    ]
    assert canvas.ids.dtype == np.uint8


def test_holes():
    canvas = Canvas((5, 5), 0)
    outer, inner = points([0, 0, 5, 0, 5, 5, 0, 5]), points([1, 1, 4, 1, 4, 4, 1, 4])
    canvas.polygon([outer, inner], 7)
    assert (canvas.ids == 7).sum() == 16 and not canvas.ids[1:4, 1:4].any()


def test_corners_that_are_pixels():
    canvas = Canvas((6, 6), 0)
    canvas.through_pixels(points([1, 1, 4, 1, 4, 4, 1, 4]), [points([2, 2, 3, 2, 3, 3, 2, 3])], 1)
    assert canvas.ids.sum() == 16 - 4 and canvas.ids[1, 1] and canvas.ids[4, 4]


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (1 << 20, 1 << 20)])
def test_sizes_of_no_picture(size: tuple[int, int]):
    with pytest.raises(ValueError, match="expected that of a picture"):
        Canvas(size, 0)


def test_regions_outside():
    canvas = Canvas((4, 6), 0)
    for left, top in ((6, 0), (0, 4), (-2, 0), (0, -2)):
        with pytest.raises(ValueError, match="outside of the image"):
            canvas.patch(np.ones((2, 2), bool), left, top, 1)
    canvas.patch(np.ones((2, 2), bool), -1, -1, 1)
    assert canvas.ids.sum() == 1


def encoded(pixels: np.ndarray, packed: bool = False) -> str:
    content = cv2.imencode(".png", pixels)[1].tobytes()
    return base64.b64encode(zlib.compress(content) if packed else content).decode()


def test_patches_as_text():
    mask = np.array([[0, 255], [1, 0]], np.uint8)
    colour = np.dstack([mask, mask * 0, mask * 0])
    opaque = np.dstack([mask * 0 + 9, mask * 0 + 9, mask * 0, mask])
    for pixels in (mask, colour, opaque):
        for packed in (False, True):
            found = patch_from_text(encoded(pixels, packed))
            assert found.tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("%%%", "not base64"),
        (None, "not base64"),
        (base64.b64encode(b"nothing").decode(), "neither a PNG nor compressed"),
        (base64.b64encode(zlib.compress(b"nothing")).decode(), "not a whole PNG"),
        (encoded(np.zeros((9, 9), np.uint8))[:40], "not a whole PNG"),
    ],
)
def test_texts_that_are_no_patches(text: str, said: str):
    with pytest.raises(ValueError, match=said):
        patch_from_text(text)
