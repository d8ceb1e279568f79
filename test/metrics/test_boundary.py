"""The boundary F-score against its definition, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bisenet_ros.metrics.boundary import boundary_f, summarise, tolerance

UNLABELLED = 255
N = 3
IDS = st.sampled_from([*range(N), UNLABELLED])
PAIRS = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.uint8, shape, elements=IDS), hnp.arrays(np.uint8, shape, elements=IDS)
    )
)


def slow_boundary(ids: np.ndarray, truth: np.ndarray, c: int) -> np.ndarray:
    """(k, 2) places of class ``c`` that have a labelled neighbour of another class."""
    height, width = ids.shape
    places = []
    for y, x in np.argwhere((ids == c) & (truth != UNLABELLED)):
        beside = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        inside = [(v, u) for v, u in beside if 0 <= v < height and 0 <= u < width]
        if any(truth[p] != UNLABELLED and ids[p] != c for p in inside):
            places.append((y, x))
    return np.array(places, np.int64).reshape(-1, 2)


def slow_share(points: np.ndarray, others: np.ndarray, radius: int) -> float:
    if not len(points) or not len(others):
        return 0.0
    squares = ((points[:, None] - others[None]) ** 2).sum(2)
    return float((squares.min(1) <= radius**2).mean())


def slow_f(truth: np.ndarray, mask: np.ndarray, c: int, radius: int) -> float:
    meant, said = slow_boundary(truth, truth, c), slow_boundary(mask, truth, c)
    if not len(meant) and not len(said):
        return math.nan
    precision, recall = slow_share(said, meant, radius), slow_share(meant, said, radius)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def check_as_slow(truth: np.ndarray, mask: np.ndarray, radius: int) -> None:
    expected = [slow_f(truth, mask, c, radius) for c in range(N)]
    np.testing.assert_allclose(boundary_f(truth, mask, N, radius), expected, rtol=1e-12)


@given(PAIRS, st.integers(1, 5))
def test_it_is_what_its_definition_says(pair, radius):
    check_as_slow(*pair, radius)


@pytest.mark.parametrize("radius", [1, 5, 18])
def test_distances_are_exact_on_larger_images(radius):
    random = np.random.default_rng(radius)
    coarse = random.integers(0, N, (2, 6, 8)).astype(np.uint8)
    truth, mask = coarse.repeat(13, 1).repeat(11, 2)
    mask = np.roll(mask, random.integers(-5, 5, 2), (0, 1))
    truth[random.random(truth.shape) < 0.02] = UNLABELLED
    check_as_slow(truth, mask, radius)


def halves(column: int, size: tuple[int, int] = (20, 40)) -> np.ndarray:
    """Class 0 left of a column, class 1 from there on."""
    ids = np.ones(size, np.uint8)
    ids[:, :column] = 0
    return ids


def test_an_edge_within_the_tolerance_is_right_and_one_beyond_is_wrong():
    assert boundary_f(halves(20), halves(23), 2, 3).tolist() == [1, 1]
    assert boundary_f(halves(20), halves(24), 2, 3).tolist() == [0, 0]


def test_the_tolerance_follows_the_diagonal_rounded_up():
    assert tolerance((360, 480)) == 5  # 0.75 % of 600 is 4.5
    assert tolerance((300, 400)) == 4
    assert tolerance((1024, 2048)) == 18
    assert tolerance((1, 1)) == 1
    truth, near, far = halves(200, (360, 480)), halves(205, (360, 480)), halves(206, (360, 480))
    assert boundary_f(truth, near, 2).tolist() == [1, 1]
    assert boundary_f(truth, far, 2).tolist() == [0, 0]


def test_what_is_unlabelled_makes_no_boundary():
    truth, mask = halves(20), halves(20)
    truth[:, 15:25] = UNLABELLED
    assert np.isnan(boundary_f(truth, mask, 2, 3)).all()


def test_a_class_seen_where_there_is_none_scores_zero():
    mask = halves(20)
    mask[5:9, 3:7] = 2
    f = boundary_f(halves(20), mask, 4, 1)
    assert f[2] == 0 and np.isnan(f[3])
    assert 0 < f[0] < 1 and f[1] == 1


def test_a_mask_without_a_class_bounds_its_neighbours():
    mask = halves(20)
    mask[:, :20] = UNLABELLED
    assert boundary_f(halves(20), mask, 2, 1).tolist() == [0, 1]


def test_classes_are_means_over_the_images_that_have_them():
    nan = math.nan
    found = summarise([np.array([1, nan, 0.5]), np.array([0.5, nan, nan])], 3)
    np.testing.assert_equal(found.f, [0.75, nan, 0.5])
    assert found.images.tolist() == [2, 0, 1]
    assert found.mean == 0.625
    assert math.isnan(summarise([], 3).mean)
