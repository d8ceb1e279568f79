"""Which frames are shown, against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisenet_ros.metrics.growing import GrowingArray
from bisenet_ros.metrics.percentiles import percentiles
from bisenet_ros.metrics.ranking import highest, instability, lowest, spaced

SECOND = 10**9
VALUES = st.lists(st.one_of(st.just(math.nan), st.sampled_from([0.0, 0.25, 0.5, 1.0])), max_size=9)


@given(VALUES, st.integers(0, 5))
def test_lowest_follows_the_slow_version(values, count):
    stamps = [i * SECOND * 2 // 5 for i in range(len(values))]
    left = {i for i, v in enumerate(values) if not math.isnan(v)}
    chosen: list[int] = []
    while left and len(chosen) < count:
        frame = min(left, key=lambda i: (values[i], i))
        left.remove(frame)
        if all(abs(stamps[frame] - stamps[other]) >= SECOND for other in chosen):
            chosen.append(frame)
    assert lowest(np.array(values), np.array(stamps), count) == chosen
    assert highest(-np.array(values), np.array(stamps), count) == chosen


def test_frames_are_at_least_a_second_apart():
    stamps = np.arange(100) * SECOND // 10
    chosen = lowest(np.arange(100.0), stamps, 4)
    assert chosen == [0, 10, 20, 30]
    assert spaced([5, 6, 15], stamps, 8, 0.0) == [5, 6, 15]
    assert spaced([], stamps) == []


def test_instability_is_the_mean_of_three_ranks():
    flicker = np.array([math.nan, 0.1, 0.3, 0.2])
    confidence = np.array([0.9, 0.5, 0.6, 0.9])
    disagreement = np.array([math.nan, 0.2, 0.1, 0.2])
    found = instability(flicker, confidence, disagreement)
    # Ranks, worst 1: flicker -, 0, 1, 1/2; confidence 1/6, 1, 2/3, 1/6; disagreement -, 3/4, 0, 3/4
    expected = [1 / 6, (0 + 1 + 3 / 4) / 3, (1 + 2 / 3 + 0) / 3, (1 / 2 + 1 / 6 + 3 / 4) / 3]
    assert found.tolist() == pytest.approx(expected)


def test_instability_of_nothing():
    assert instability(np.zeros(0), np.zeros(0), np.zeros(0)).tolist() == []
    unknown = np.array([math.nan])
    assert math.isnan(instability(unknown, unknown, unknown)[0])
    assert instability(unknown, np.array([0.5]), unknown).tolist() == [0.0]


def test_percentiles_leave_out_what_is_unknown():
    values = np.array([*range(1, 101), math.nan])
    assert percentiles(values) == pytest.approx(
        {"mean": 50.5, "p50": 50.5, "p95": 95.05, "p99": 99.01}
    )
    assert percentiles(np.array([])) == {"mean": None, "p50": None, "p95": None, "p99": None}


@given(st.integers(0, 1500))
def test_growing_arrays_hold_what_was_appended(count):
    array = GrowingArray(np.uint32, (2,))
    for i in range(count):
        array.append((i, 2 * i))
    assert len(array) == count
    assert array.values.tolist() == [[i, 2 * i] for i in range(count)]
    if count:
        array[0] = (7, 8)
        assert array.values[0].tolist() == [7, 8]
