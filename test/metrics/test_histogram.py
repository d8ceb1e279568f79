"""Counts of pixels by several bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisenet_ros.metrics import histogram


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(1, 256), min_size=1, max_size=3),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_counts_equal_those_of_a_loop(seed: int, sizes: list[int], shape: tuple[int, int]):
    if np.prod(sizes) > 1 << 20:
        sizes = sizes[:2]
    random = np.random.default_rng(seed)
    images = [random.integers(0, 256, shape, dtype=np.uint8) for _ in sizes]
    expected = np.zeros(sizes, np.int64)
    for values in zip(*(image.reshape(-1) for image in images), strict=True):
        if all(value < size for value, size in zip(values, sizes, strict=True)):
            expected[tuple(values)] += 1
    found = histogram.count(images, sizes)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)


def test_a_view_that_is_not_contiguous_is_counted():
    image = np.arange(48, dtype=np.uint8).reshape(6, 8)
    found = histogram.count([image[::2, 1::3]], [256])
    assert sorted(np.flatnonzero(found)) == sorted(image[::2, 1::3].reshape(-1))


def test_counts_beyond_what_float32_holds_are_exact(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(histogram, "_EXACT", 1000)
    image = np.full(4321, 7, np.uint8)
    assert histogram.count([image], [256])[7] == 4321


def test_float32_is_exact_within_a_part():
    # The very next count would be lost.
    assert int(np.float32(histogram._EXACT)) == histogram._EXACT
    assert int(np.float32(histogram._EXACT - 1)) == histogram._EXACT - 1
    assert int(np.float32(histogram._EXACT + 1)) != histogram._EXACT + 1
