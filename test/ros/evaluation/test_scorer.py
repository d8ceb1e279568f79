"""Pairing and counting, without ROS."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisenet_ros.labels import LabelSet
from bisenet_ros.metrics.confusion import confusion_matrix, scores
from bisenet_ros.ros.evaluation.scorer import ScoredFrame, Scorer

N = 3
LABELS = LabelSet(("a", "b", "c"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)))
SHAPE = (6, 5)


def ids(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice([0, 1, 2, 255], SHAPE).astype(np.uint8)


def frame(stamp: int, age_ms: float = 10.0) -> ScoredFrame:
    return ScoredFrame(stamp, age_ms, stamp / 10, SHAPE[1], SHAPE[0], "mono8", "camera")


def png(label: np.ndarray) -> np.ndarray:
    return cv2.imencode(".png", label)[1].reshape(-1)


@given(st.permutations([(kind, stamp) for kind in "ml" for stamp in range(4)]), st.booleans())
def test_every_order_gives_the_same_scores(order, compressed):
    scorer = Scorer()
    for kind, stamp in order:
        if kind == "m":
            scorer.add_mask(ids(stamp), frame(stamp))
        else:
            label = ids(100 + stamp)
            scorer.add_label(stamp, png(label) if compressed else label)
    expected = scores(sum(confusion_matrix(ids(100 + s), ids(s), N) for s in range(4)))
    report = scorer.report(LABELS)
    assert report["scored"] == 4
    assert report["unmatched_masks"] == report["unmatched_labels"] == 0
    assert report["confusion"] == expected.confusion.tolist()
    assert report["miou"] == pytest.approx(expected.miou)
    assert report["pixel_accuracy"] == pytest.approx(expected.pixel_accuracy)
    truth = expected.confusion.sum(1)
    for i, name in enumerate(LABELS.names):
        assert report["per_class"][name]["iou"] == pytest.approx(expected.iou[i])
        assert report["per_class"][name]["share"] == pytest.approx(truth[i] / truth.sum())
    for figures in report["frames"]:
        stamp = figures["stamp"]
        alone = scores(confusion_matrix(ids(100 + stamp), ids(stamp), N))
        assert figures["miou"] == pytest.approx(alone.miou)


def test_memory_stays_bounded_and_dropped_images_are_counted():
    size = ids(0).nbytes
    scorer = Scorer(pending_bytes=3 * size, max_frames=5)
    for stamp in range(10):
        scorer.add_label(stamp, ids(stamp))
        scorer.add_mask(ids(stamp), frame(100 + stamp))
    report = scorer.report(LABELS)
    assert report["masks"] == report["labels"] == 10
    assert report["unmatched_masks"] == report["unmatched_labels"] == 10
    assert len(report["frames"]) == 5
    scorer.add_mask(ids(9), frame(9))
    scorer.add_mask(ids(0), frame(0))  # its label was dropped
    report = scorer.report(LABELS)
    assert report["scored"] == 1
    assert report["unmatched_labels"] == 9 and report["unmatched_masks"] == 11


def test_a_stamp_that_comes_again_is_scored_again_with_its_own_label():
    scorer = Scorer()
    for _ in range(2):  # a bag that loops
        scorer.add_label(1, ids(1))
        scorer.add_mask(ids(2), frame(1))
    assert scorer.report(LABELS)["scored"] == 2
    scorer.add_label(5, ids(1))
    scorer.add_label(5, ids(1))
    assert scorer.report(LABELS)["unmatched_labels"] == 2


def test_labels_that_cannot_be_used_are_counted_with_their_reason():
    scorer = Scorer()
    scorer.add_mask(ids(1), frame(1))
    scorer.add_label(1, np.frombuffer(b"no image", np.uint8))
    scorer.add_mask(ids(1), frame(2))
    scorer.add_label(2, np.zeros((3, 3), np.uint8))
    scorer.add_mask(ids(1), frame(3))
    scorer.add_label(3, png(np.zeros((*SHAPE, 3), np.uint8)))
    report = scorer.report(LABELS)
    assert report["scored"] == 0 and report["miou"] is None
    assert list(report["refused"]) == [
        "compressed image of 8 bytes cannot be decoded",
        "mask is 5×6 but label is 3×3",
        "label image has 3 channel(s) of uint8; expected one channel of 8-bit class ids",
    ]


def test_without_class_names_the_ids_seen_are_scored():
    scorer = Scorer()
    scorer.add_label(1, np.full(SHAPE, 4, np.uint8))
    scorer.add_mask(np.full(SHAPE, 1, np.uint8), frame(1))
    assert list(scorer.report(None)["per_class"]) == [f"class {i}" for i in range(5)]
    report = scorer.report(LABELS)  # three classes: id 4 of the truth is none of them
    assert report["unknown_label_pixels"] == SHAPE[0] * SHAPE[1]


def test_rate_and_ages():
    scorer = Scorer()
    assert scorer.report(LABELS)["output_fps"] is None
    assert scorer.report(LABELS)["age_ms_p50"] is None
    for stamp in range(5):
        scorer.add_mask(ids(0), frame(stamp, age_ms=10.0 * stamp))
    report = scorer.report(LABELS)
    assert report["output_fps"] == pytest.approx(10.0)  # frame() puts them 0.1 s apart
    assert report["age_ms_p50"] == 20.0
    assert report["age_ms_p95"] == pytest.approx(38.0)
    scorer.add_mask(ids(0), frame(9, age_ms=1e11))  # a bag's stamp against today's clock
    scorer.add_mask(ids(0), frame(10, age_ms=None))  # before the first /clock
    assert scorer.report(LABELS)["age_ms_p50"] == 20.0


def test_the_distance_to_the_nearest_label_is_known():
    scorer = Scorer()
    assert scorer.label_offset_ms() is None
    for stamp in (1_000_000, 101_000_000, 205_000_000):
        scorer.add_mask(ids(0), frame(stamp))
    assert scorer.label_offset_ms() is None
    for stamp in (0, 101_000_000, 200_000_000):  # one fits
        scorer.add_label(stamp, ids(1))
    assert scorer.label_offset_ms() == pytest.approx((1 + 5) / 2)


STAMPS = st.lists(st.integers(0, 10**10), max_size=9, unique=True)


@given(STAMPS, STAMPS)
def test_the_nearest_label_is_the_nearest(masks, labels):
    scorer = Scorer()
    for stamp in labels:
        scorer.add_label(stamp, ids(1))
    left = set(masks) - set(labels)
    for stamp in masks:
        scorer.add_mask(ids(0), frame(stamp))
    if left and labels:
        plain = np.median([min(abs(m - n) for n in labels) for m in left]) / 1e6
        assert scorer.label_offset_ms() == pytest.approx(plain)
    else:
        assert scorer.label_offset_ms() is None
