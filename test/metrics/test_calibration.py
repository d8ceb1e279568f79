"""Calibration against a list of pixels, and on data whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bisenet_ros.metrics.calibration import Calibration, level_counts

N = 3
SHAPE = (4, 5)
IDS = st.sampled_from([*range(N), 255])
FRAMES = st.lists(
    st.tuples(
        hnp.arrays(np.uint8, SHAPE, elements=IDS),
        hnp.arrays(np.uint8, SHAPE, elements=IDS),
        hnp.arrays(np.uint8, SHAPE),
    ),
    max_size=3,
)


def slow_error(pixels: list[tuple[int, int, int]], bins: int) -> float:
    """Expected calibration error of (truth, class, confidence byte) one by one."""
    held: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for true, said, level in pixels:
        place = next(b for b in range(bins) if level * bins <= (b + 1) * 255)
        held[place].append((level / 255, true == said))
    if not pixels:
        return math.nan
    error = 0.0
    for some in held:
        if some:
            confidence = sum(c for c, _ in some) / len(some)
            accuracy = sum(r for _, r in some) / len(some)
            error += len(some) / len(pixels) * abs(accuracy - confidence)
    return error


@given(FRAMES)
def test_levels_are_counted_by_class_and_verdict(frames):
    for truth, mask, confidence in frames:
        with_truth, without = np.zeros((2, N, 256, 3), np.int64)
        for true, said, level in zip(truth.flat, mask.flat, confidence.flat, strict=True):
            if said != 255:
                verdict = 2 if true == 255 else int(true == said)
                with_truth[said, level, verdict] += 1
                without[said, level, 2] += 1
        assert np.array_equal(level_counts(mask, confidence, truth, N), with_truth)
        assert np.array_equal(level_counts(mask, confidence, None, N), without)


@given(FRAMES, st.sampled_from([1, 10, 15]))
def test_errors_follow_the_slow_version(frames, bins):
    found = Calibration(N, bins)
    for truth, mask, confidence in frames:
        found.add(truth, mask, confidence)
    flat = [
        pixel
        for frame in frames
        for pixel in zip(*(part.reshape(-1).tolist() for part in frame), strict=True)
        if pixel[0] != 255 and pixel[1] != 255
    ]
    assert found.counts.sum() == len(flat)
    expected = slow_error(flat, bins)
    assert found.reliability().error == pytest.approx(expected, nan_ok=True)
    for c in range(N):
        some = [pixel for pixel in flat if pixel[1] == c]  # of a *predicted* class
        expected = slow_error(some, bins)
        assert found.reliability(c).error == pytest.approx(expected, nan_ok=True)


def test_a_bin_holds_its_upper_edge_and_the_first_holds_zero():
    found = Calibration(1)
    for level in (0, 17, 18, 34, 255):
        byte = np.array([[level]], np.uint8)
        found.add(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), byte)
    share = found.reliability().share * 5
    assert share.tolist() == [2, 2, *[0] * 12, 1]


def test_honest_confidence_has_no_error_and_boasting_has_its_excess():
    random = np.random.default_rng(0)
    level = random.integers(85, 256, (300, 400), dtype=np.uint8)
    mask = np.zeros(level.shape, np.uint8)
    truth = (random.random(level.shape) > level / 255).astype(np.uint8)
    honest = Calibration(2)
    honest.add(truth, mask, level)
    assert honest.reliability().error < 0.01
    boasting = Calibration(2)
    boasting.add(truth, mask, np.full_like(level, 255))
    figures = boasting.figures(["a", "b"])
    right = float((truth == 0).mean())
    assert figures["expected_calibration_error"] == pytest.approx(1 - right)
    assert figures["mean_confidence"] == 1.0
    assert figures["accuracy"] == pytest.approx(right)
    assert figures["pixels"] == level.size
    assert figures["per_class"] == {"a": pytest.approx(1 - right), "b": None}


def test_without_pixels_nothing_is_claimed():
    figures = Calibration(2).figures(["a", "b"])
    assert figures["expected_calibration_error"] is None
    assert figures["mean_confidence"] is None
    assert [entry["share"] for entry in figures["bins"]] == [0.0] * 15
    assert figures["bins"][0]["accuracy"] is None
    assert figures["bins"][14]["high"] == 1.0
