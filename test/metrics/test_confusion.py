"""Scores against an obvious version in plain Python, and against torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchmetrics.functional.classification import (
    multiclass_confusion_matrix,
    multiclass_jaccard_index,
)

from bisenet_ros.metrics.confusion import confusion_matrix, confusion_of_errors, scores

UNLABELLED = 255
N = 4
IDS = st.sampled_from([*range(N), UNLABELLED])
PAIRS = hnp.array_shapes(min_dims=1, max_dims=2, max_side=12).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.uint8, shape, elements=IDS), hnp.arrays(np.uint8, shape, elements=IDS)
    )
)


def slow_confusion(truth: np.ndarray, mask: np.ndarray, n: int) -> list[list[int]]:
    counts = [[0] * (n + 1) for _ in range(n)]
    for t, p in zip(truth.reshape(-1).tolist(), mask.reshape(-1).tolist(), strict=True):
        if t != UNLABELLED:
            counts[t][min(p, n)] += 1
    return counts


def slow_iou(truth: np.ndarray, mask: np.ndarray, c: int) -> float:
    """Intersection over union of one class as sets of pixels, NaN if it occurs nowhere."""
    pixels = [
        (t, p)
        for t, p in zip(truth.reshape(-1).tolist(), mask.reshape(-1).tolist(), strict=True)
        if t != UNLABELLED
    ]
    both = sum(t == c and p == c for t, p in pixels)
    either = sum(t == c or p == c for t, p in pixels)
    return both / either if either else math.nan


@given(PAIRS)
def test_from_the_wrong_pixels_alone_it_is_the_same(pair):
    truth, mask = pair
    hits = np.array([np.count_nonzero((truth == c) & (mask == c)) for c in range(N)])
    assert confusion_of_errors(truth, mask, hits, N).tolist() == slow_confusion(truth, mask, N)


@given(PAIRS)
def test_confusion_matrix_counts_as_the_slow_one(pair):
    truth, mask = pair
    assert confusion_matrix(truth, mask, N).tolist() == slow_confusion(truth, mask, N)


@given(PAIRS)
def test_scores_follow_their_definitions(pair):
    truth, mask = pair
    found = scores(confusion_matrix(truth, mask, N))
    expected = np.array([slow_iou(truth, mask, c) for c in range(N)])
    np.testing.assert_allclose(found.iou, expected, rtol=1e-12)
    labelled = truth != UNLABELLED
    if labelled.any():
        right = (truth == mask)[labelled].mean()
        assert found.pixel_accuracy == pytest.approx(right)
        assert found.miou == pytest.approx(np.nanmean(expected))
        shares = np.array([(truth == c)[labelled].mean() for c in range(N)])
        weighted = np.nansum(shares * expected)
        assert found.frequency_weighted_iou == pytest.approx(weighted)
        np.testing.assert_allclose(found.shares, shares)
    else:
        assert math.isnan(found.pixel_accuracy) and math.isnan(found.miou)
        assert math.isnan(found.frequency_weighted_iou) and not found.shares.any()
    for c in range(N):
        meant, said = labelled & (truth == c), labelled & (mask == c)
        hits = (meant & said).sum()
        check_share(found.recall[c], hits, meant.sum())
        check_share(found.precision[c], hits, said.sum())


def check_share(value: float, part: int, whole: int) -> None:
    assert math.isnan(value) if whole == 0 else value == pytest.approx(part / whole)


@given(PAIRS)
def test_scores_agree_with_torchmetrics_where_every_pixel_is_classified(pair):
    truth, mask = pair
    mask = np.minimum(mask, N - 1)  # torchmetrics has no unlabelled predictions
    counts = confusion_matrix(truth, mask, N)
    t, p = torch.from_numpy(truth.astype(np.int64)), torch.from_numpy(mask.astype(np.int64))
    theirs = multiclass_confusion_matrix(p, t, N, ignore_index=UNLABELLED)
    assert counts[:, :N].tolist() == theirs.tolist()
    assert not counts[:, N].any()
    ious = multiclass_jaccard_index(p, t, N, average="none", ignore_index=UNLABELLED)
    np.testing.assert_allclose(np.nan_to_num(scores(counts).iou), ious.numpy(), atol=1e-6)


def test_an_unlabelled_prediction_is_a_miss_of_its_class_and_a_hit_of_none():
    truth = np.array([0, 0, 1, 1], np.uint8)
    mask = np.array([0, 255, 1, 1], np.uint8)
    found = scores(confusion_matrix(truth, mask, 2))
    assert found.iou.tolist() == [0.5, 1.0]
    assert found.precision.tolist() == [1.0, 1.0]
    assert found.recall.tolist() == [0.5, 1.0]
    assert found.pixel_accuracy == 0.75


def test_a_class_that_occurs_nowhere_does_not_count():
    truth = np.zeros((3, 3), np.uint8)
    found = scores(confusion_matrix(truth, truth, 5))
    assert found.miou == 1.0
    assert np.isnan(found.iou[1:]).all()
