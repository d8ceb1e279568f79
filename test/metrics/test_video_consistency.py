"""VC_n against loops over windows and pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bisenet_ros.metrics.video_consistency import VideoConsistency

IDS = st.sampled_from([0, 0, 0, 1, 255])


def slow(truths: list[np.ndarray], masks: list[np.ndarray], n: int) -> float:
    shares = []
    for start in range(len(truths) - n + 1):
        constant = kept = 0
        for y, x in np.ndindex(truths[0].shape):
            true = {int(t[y, x]) for t in truths[start : start + n]}
            said = {int(m[y, x]) for m in masks[start : start + n]}
            if len(true) == 1 and 255 not in true:
                constant += 1
                kept += len(said) == 1 and 255 not in said
        if constant:
            shares.append(kept / constant)
    return sum(shares) / len(shares) if shares else math.nan


@given(st.data())
def test_it_follows_the_slow_version(data):
    frames = data.draw(st.integers(0, 7))
    shape = (frames, 2, 3)
    truths = list(data.draw(hnp.arrays(np.uint8, shape, elements=IDS)))
    masks = list(data.draw(hnp.arrays(np.uint8, shape, elements=IDS)))
    found = VideoConsistency((2, 3, 5))
    for truth, mask in zip(truths, masks, strict=True):
        found.add(truth, mask)
    for n in (2, 3, 5):
        expected = slow(truths, masks, n) if frames else math.nan
        assert found.score(n) == pytest.approx(expected, nan_ok=True)


def test_wrong_but_constant_predictions_are_consistent():
    found = VideoConsistency((4,))
    for _ in range(6):
        found.add(np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8))
    assert found.score(4) == 1.0


def test_one_frame_without_truth_takes_the_score_away():
    found = VideoConsistency((2,))
    truth = np.zeros((4, 4), np.uint8)
    for label in (truth, truth, None, truth, truth):
        found.add(label, truth)
    assert not found.complete
    assert math.isnan(found.score(2))


def test_a_gap_or_another_size_begins_new_windows():
    truth = np.zeros((4, 4), np.uint8)
    gap, size = VideoConsistency((3,)), VideoConsistency((3,))
    for index in range(4):
        gap.add(truth, truth, follows=index != 2)
        size.add(truth[: 2 + index // 2], truth[: 2 + index // 2])
    assert math.isnan(gap.score(3))
    assert math.isnan(size.score(3))


def test_runs_longer_than_a_byte_stay_long():
    found = VideoConsistency((255,))
    truth = np.zeros((1, 2), np.uint8)
    for index in range(600):
        found.add(truth, np.array([[0, index % 2]], np.uint8))
    assert found.score(255) == 0.5


def test_runs_longer_than_a_byte_counts_go_on():
    truths = [np.zeros((1, 2), np.uint8)] * 600
    masks = [np.full((1, 2), index >= 100, np.uint8) for index in range(600)]
    found = VideoConsistency((2, 255))
    for truth, mask in zip(truths, masks, strict=True):
        found.add(truth, mask)
    assert found.score(2) == pytest.approx(598 / 599)  # the one window in which the mask changes
    assert found.score(255) == pytest.approx(slow(truths, masks, 255))
