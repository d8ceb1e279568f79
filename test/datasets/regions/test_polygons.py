"""Polygons: every pixel whose middle is inside, and no other."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_regions import joined, rings
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bisenet_ros.datasets.regions import polygons
from bisenet_ros.datasets.regions.polygons import (
    check_inside,
    ellipse,
    fill,
    points,
    rectangle,
)

SIZE = (13, 17)


def slowly(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """For each pixel: how many edges does a ray to the left from its middle cross?"""
    found = np.zeros(size, bool)
    for row in range(size[0]):
        for column in range(size[1]):
            x, y = column + 0.5, row + 0.5
            for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
                # Upwards and downwards edges in the same arithmetic, so that they cross alike.
                if y0 > y1:
                    (x0, y0), (x1, y1) = (x1, y1), (x0, y0)
                if y0 <= y < y1 and x0 + (y - y0) / (y1 - y0) * (x1 - x0) <= x:
                    found[row, column] ^= True
    return found


coordinate = st.one_of(
    st.integers(-4, 20).map(float),
    st.integers(-8, 40).map(lambda half: half / 2),
    st.floats(-5, 22, allow_nan=False),
)
CORNERS = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=8).map(np.array)


@settings(deadline=None)
@given(CORNERS)
def test_as_the_definition_says(corners: np.ndarray):
    assert np.array_equal(fill([corners], SIZE), slowly(corners, SIZE))


@settings(deadline=None)
@given(CORNERS, CORNERS)
def test_rings_cut_holes_into_each_other(first: np.ndarray, second: np.ndarray):
    both = slowly(first, SIZE) ^ slowly(second, SIZE)
    assert np.array_equal(fill([first, second], SIZE), both)


@settings(deadline=None)
@given(arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_a_traced_mask_is_filled_as_it_was(mask: np.ndarray):
    if not mask.any():
        return
    traced = [np.array(ring, float) for ring in rings(mask)]
    assert np.array_equal(fill(traced, mask.shape), mask)
    in_one = np.array(joined(rings(mask)), float)
    assert np.array_equal(fill([in_one], mask.shape), mask)


def test_polygons_that_share_an_edge_share_no_pixel():
    random = np.random.default_rng(0)
    for _ in range(50):
        a, b, c, d = random.uniform(0, 13, (4, 2))
        one, two = fill([np.array([a, b, c])], SIZE), fill([np.array([a, b, d])], SIZE)
        whole = fill([np.array([a, c, b, d])], SIZE)
        assert np.array_equal(one ^ two, whole)


def test_the_whole_image():
    height, width = SIZE
    corners = points([0, 0, width, 0, width, height, 0, height])
    assert fill([corners], SIZE).all()
    assert fill([corners * 3 - 5], SIZE).all()


def test_shapes_by_their_measures():
    assert fill([rectangle(2, 3, 5, 4)], SIZE).sum() == 20
    turned = fill([rectangle(10, 3, 5, 4, 90)], SIZE)  # to the left of its corner, and down
    assert turned[3:8, 6:10].all() and turned.sum() == 20
    disc = fill([ellipse((8, 6), (5, 5))], SIZE)
    assert abs(disc.sum() - np.pi * 25) < 4 and disc[6, 8] and not disc[1, 3]
    upright = fill([ellipse((8, 6), (6, 2), 90)], SIZE)
    assert upright[:, 8].sum() == 12 and upright[6].sum() == 4


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([0, 0, 4, 4], "2 corners; expected 3 or more"),
        ([[0, 0], [4, 4]], "2 corners"),
        ([0, 0, 4, 4, 8], "not pairs"),
        ([0, 0, 4, 4, 8, float("nan")], "not a finite number"),
        ([0, 0, 4, 4, 8, float("inf")], "not a finite number"),
        (["a", "b"], "not numbers"),
        ([[0, 0], [1]], "not numbers"),
        ([], "0 corners|not pairs"),
        (None, "not pairs|not numbers|finite"),
        ([[0, 0, 0], [1, 1, 1], [2, 2, 2]], "not pairs"),
        ({"x": 1}, "not numbers"),
    ],
    ids=str,
)
def test_what_is_no_polygon(written: object, said: str):
    with pytest.raises(ValueError, match=said):
        points(written)


def test_polygons_outside():
    for shift in ((30, 0), (0, 30), (-30, 0), (0, -30)):
        with pytest.raises(ValueError, match="outside of the image"):
            check_inside(points([0, 0, 5, 0, 5, 5]) + shift, SIZE)
    check_inside(points([-50, -50, 50, 0, 5, 50]), SIZE)


def test_polygons_that_would_take_for_ever(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match="pixels away"):
        fill([points([0, 0, 1e12, 0, 0, 1e12])], SIZE)
    monkeypatch.setattr(polygons, "MOST_CROSSINGS", 100)
    zigzag = np.array([(x, 13 * (x % 2)) for x in range(16)], float)
    with pytest.raises(ValueError, match="rows; expected 100 at most"):
        fill([zigzag], SIZE)
