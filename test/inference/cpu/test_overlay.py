"""The overlay against its definition, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.cpu.overlay import blend, colour_mask

RANDOM = np.random.default_rng(0)
PALETTE = RANDOM.integers(0, 256, (256, 3), np.uint8)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("unlabelled", [False, True])
def test_colours_are_blended_and_unlabelled_pixels_left(alpha, unlabelled):
    image = RANDOM.integers(0, 256, (9, 14, 3), np.uint8)
    mask = RANDOM.integers(0, 255, (9, 14), np.uint8)
    if unlabelled:
        mask[2:4, 3:9] = 255
    before, buffers = image.copy(), Buffers()
    found = blend(image, mask, PALETTE, alpha, buffers)
    wanted = image * (1 - alpha) + PALETTE[mask] * alpha
    wanted[mask == 255] = image[mask == 255]
    assert found.shape == image.shape and found.dtype == np.uint8
    assert np.abs(found - wanted).max() <= 0.5
    assert np.array_equal(image, before)
    assert np.array_equal(blend(image, mask, PALETTE, alpha), found)
    first = found.ctypes.data
    second = blend(image, mask, PALETTE, alpha, buffers)
    assert second.ctypes.data != first  # the first still belongs to the caller


def test_a_mask_in_colours_is_the_palettes():
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(colour_mask(mask, PALETTE), PALETTE.reshape(16, 16, 3))
