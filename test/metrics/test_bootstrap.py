"""Paired differences: exact where they can be, statistical where they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bisenet_ros.metrics.bootstrap import (
    ChangedPixels,
    blocks,
    class_counts,
    iou,
    paired_difference,
)
from bisenet_ros.metrics.confusion import confusion_matrix, scores

N = 3
IDS = st.sampled_from([*range(N), 255])
SECOND = 10**9


def random_counts(frames: int, right: float, seed: int) -> np.ndarray:
    """(F, 3, N) counts of frames of which a random share around ``right`` is right."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(frames):
        truth = random.integers(0, N, 600).astype(np.uint8)
        mask = truth.copy()
        wrong = random.random(600) > right + 0.1 * random.normal()
        mask[wrong] = random.integers(0, N, int(wrong.sum()))
        found.append(class_counts(confusion_matrix(truth, mask, N)))
    return np.array(found)


@given(hnp.arrays(np.int64, (N, N + 1), elements=st.integers(0, 5)))
def test_class_counts_hold_all_that_iou_needs(confusion):
    mean, each = iou(class_counts(confusion))
    expected = scores(confusion)
    assert each.tolist() == pytest.approx(expected.iou.tolist(), nan_ok=True)
    assert float(mean) == pytest.approx(expected.miou, nan_ok=True)
    square, _ = iou(class_counts(confusion[:, :N]))
    assert float(square) == pytest.approx(scores(confusion[:, :N]).miou, nan_ok=True)


@given(st.lists(st.integers(0, 5 * SECOND), max_size=20))
def test_blocks_follow_the_slow_version(stamps):
    found = blocks(np.array(stamps, np.int64)).tolist()
    groups: list[list[int]] = []
    for stamp in stamps:
        new = not groups or stamp < groups[-1][-1] or stamp >= groups[-1][0] + SECOND
        groups.append([stamp]) if new else groups[-1].append(stamp)
    assert found == [number for number, group in enumerate(groups) for _ in group]


def test_a_model_compared_with_itself_differs_in_nothing():
    counts = random_counts(60, 0.7, 0)
    found = paired_difference(counts, counts, blocks(np.arange(60) * SECOND // 5))
    assert (found.miou.value, found.miou.low, found.miou.high) == (0.0, 0.0, 0.0)
    assert not found.miou.excludes_zero
    assert (found.frames, found.blocks, found.resamples) == (60, 12, 2000)


def test_the_difference_is_that_of_the_summed_matrices_and_its_interval_holds_it():
    first, second = random_counts(200, 0.7, 1), random_counts(200, 0.8, 2)
    found = paired_difference(first, second, blocks(np.arange(200) * SECOND // 5))
    (a, a_each), (b, b_each) = iou(first.sum(0)), iou(second.sum(0))
    assert found.miou.value == float(b - a)
    assert found.miou.low < found.miou.value < found.miou.high
    assert found.miou.excludes_zero
    for one, expected in zip(found.per_class, b_each - a_each, strict=True):
        assert one.value == expected
        assert one.low < one.value < one.high
    back = paired_difference(second, first, blocks(np.arange(200) * SECOND // 5))
    assert back.miou.value == -found.miou.value
    assert back.miou.high == pytest.approx(-found.miou.low, abs=1e-3)


def test_the_interval_is_that_of_drawing_blocks_one_by_one():
    first, second = random_counts(60, 0.7, 3), random_counts(60, 0.72, 4)
    block = blocks(np.arange(60) * SECOND // 3)
    found = paired_difference(first, second, block)
    random = np.random.default_rng(99)
    drawn = []
    for _ in range(1500):
        frames = [
            f for b in random.integers(0, 20, 20) for f in np.flatnonzero(block == b).tolist()
        ]
        drawn.append(float(iou(second[frames].sum(0))[0] - iou(first[frames].sum(0))[0]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    width = high - low
    assert found.miou.low == pytest.approx(low, abs=0.1 * width)
    assert found.miou.high == pytest.approx(high, abs=0.1 * width)


def test_frames_that_repeat_within_a_block_do_not_narrow_the_interval():
    first, second = random_counts(40, 0.7, 5), random_counts(40, 0.7, 6)
    once = paired_difference(first, second, np.arange(40))
    often = paired_difference(
        np.repeat(first, 10, 0), np.repeat(second, 10, 0), np.repeat(np.arange(40), 10)
    )
    assert often.miou.low == pytest.approx(once.miou.low)
    assert often.miou.high == pytest.approx(once.miou.high)
    apart = paired_difference(np.repeat(first, 10, 0), np.repeat(second, 10, 0), np.arange(400))
    assert apart.miou.high - apart.miou.low < 0.5 * (once.miou.high - once.miou.low)


def test_the_seed_decides_and_parts_do_not(monkeypatch: pytest.MonkeyPatch):
    first, second = random_counts(40, 0.7, 7), random_counts(40, 0.7, 8)
    found = paired_difference(first, second, np.arange(40), seed=3)
    assert paired_difference(first, second, np.arange(40), seed=3) == found
    assert paired_difference(first, second, np.arange(40), seed=4) != found
    monkeypatch.setattr("bisenet_ros.metrics.bootstrap._AT_ONCE", 100)
    assert paired_difference(first, second, np.arange(40), seed=3) == found


def test_one_block_has_no_interval_and_no_frames_have_nothing():
    counts = random_counts(5, 0.7, 9)
    found = paired_difference(counts, counts, np.zeros(5, np.int64))
    assert found.miou.value == 0.0
    assert math.isnan(found.miou.low)
    assert not found.miou.excludes_zero
    nothing = paired_difference(counts[:0], counts[:0], np.zeros(0, np.int64))
    assert math.isnan(nothing.miou.value)
    figures = nothing.figures(["a", "b", "c"])
    assert figures["miou"]["difference"] is None
    assert figures["per_class"]["c"]["low"] is None


def test_a_class_that_only_some_frames_have_is_scored_where_it_is_drawn():
    counts = random_counts(30, 0.7, 10)
    counts[1:, :, 2] = 0
    found = paired_difference(counts, counts, np.arange(30))
    assert found.per_class[2].value == 0.0
    assert (found.per_class[2].low, found.per_class[2].high) == (0.0, 0.0)


@given(
    hnp.arrays(np.uint8, (3, 4), elements=IDS),
    hnp.arrays(np.uint8, (3, 4), elements=IDS),
    hnp.arrays(np.uint8, (3, 4), elements=IDS),
)
def test_changed_pixels_follow_the_slow_version(truth, first, second):
    found = ChangedPixels(N)
    for _ in range(2):
        gained, lost = found.add(truth, first, second)
    expected = {"gained": [0] * N, "lost": [0] * N}
    for t, a, b in zip(truth.flat, first.flat, second.flat, strict=True):
        if t != 255:
            expected["gained"][t] += a != t and b == t
            expected["lost"][t] += a == t and b != t
    assert (gained.tolist(), lost.tolist()) == (expected["gained"], expected["lost"])
    assert found.gained.tolist() == [2 * count for count in expected["gained"]]
    figures = found.figures(["a", "b", "c"])
    assert figures["lost"] == 2 * sum(expected["lost"])
    assert figures["per_class"]["b"]["gained"] == 2 * expected["gained"][1]
