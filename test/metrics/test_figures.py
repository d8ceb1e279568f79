"""What reports and metrics.json take from the metrics: every key, every value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.metrics.bootstrap import ChangedPixels, Interval, PairedDifference
from bisenet_ros.metrics.boundary import BoundaryScores
from bisenet_ros.metrics.calibration import Calibration
from bisenet_ros.metrics.confusion import per_class, scores
from bisenet_ros.metrics.dataset import Evaluated, ImageScores, evaluate
from bisenet_ros.metrics.growing import GrowingArray
from bisenet_ros.metrics.optical_flow import FlowMethod
from bisenet_ros.metrics.percentiles import percentiles
from bisenet_ros.metrics.ranking import highest, instability
from bisenet_ros.metrics.stability import StabilityScores

NAN = math.nan
CONFUSION = np.array([[6, 2, 0], [1, 1, 0]])  # the last column: predicted as unlabelled


def test_a_data_sets():
    images = [
        ImageScores(0, "a", 20, 30, 0.5, 0.75, 0.25, 1),
        ImageScores(1, "b", 40, 50, NAN, NAN, NAN, 3),
        ImageScores(2, "c", 40, 50, 1.0, 1.0, 0.0, 3),
    ]
    boundary = BoundaryScores(0.125, np.array([0.25, NAN]), np.array([2, 0]))
    labels = LabelSet(("road", "sky"), ((1, 2, 3), (4, 5, 6)))
    assert Evaluated(scores(CONFUSION), boundary, images).figures(labels) == {
        "miou": pytest.approx((6 / 9 + 1 / 4) / 2),
        "pixel_accuracy": 0.7,
        "frequency_weighted_iou": pytest.approx(0.8 * 6 / 9 + 0.2 / 4),
        "boundary_f": 0.125,
        "boundary_tolerance_px": [1, 3],
        "scored": 3,
        "labelled_pixels": 10,
        "per_class": {
            "road": {
                "iou": pytest.approx(6 / 9),
                "precision": pytest.approx(6 / 7),
                "recall": 0.75,
                "share": 0.8,
                "boundary_f": 0.25,
            },
            "sky": {
                "iou": 0.25,
                "precision": pytest.approx(1 / 3),
                "recall": 0.5,
                "share": 0.2,
                "boundary_f": None,
            },
        },
        "confusion": [[6, 2, 0], [1, 1, 0]],
        "images": [
            {
                "name": "a",
                "width": 30,
                "height": 20,
                "miou": 0.5,
                "pixel_accuracy": 0.75,
                "boundary_f": 0.25,
            },
            {
                "name": "b",
                "width": 50,
                "height": 40,
                "miou": None,
                "pixel_accuracy": None,
                "boundary_f": None,
            },
            {
                "name": "c",
                "width": 50,
                "height": 40,
                "miou": 1.0,
                "pixel_accuracy": 1.0,
                "boundary_f": 0.0,
            },
        ],
    }


class Images:
    """Labelled images that the test makes."""

    labels = LabelSet(("road", "sky"), ((1, 2, 3), (4, 5, 6)))

    def __init__(self, *truths: np.ndarray) -> None:
        self.truths = truths
        self.samples = [ImageScores(i, f"image {i}", 0, 0, 0, 0, 0, 0) for i in range(len(truths))]

    def __len__(self) -> int:
        return len(self.truths)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        truth = self.truths[index]
        return np.repeat(truth[..., None], 3, 2), truth


def test_a_data_sets_refusals_say_what_was_found_and_expected():
    stray = np.full((4, 5), 2, np.uint8)
    with pytest.raises(DataError) as caught:
        evaluate(lambda image: image[..., 0], Images(stray), 2)
    assert str(caught.value) == (
        "the label of image 0 has id 2, but the network has 2 classes: expected 0 to 1, or 255 "
        "for unlabelled"
    )
    empty = np.full((4, 5), 255, np.uint8)
    with pytest.raises(DataError) as caught:
        evaluate(lambda image: image[..., 0] * 0, Images(empty, empty), 2)
    assert str(caught.value) == (
        "2 images have no labelled pixel, so there is nothing to score; "
        "expected class ids in their labels"
    )


def test_calibrations():
    calibration = Calibration(2, bins=2)
    truth = np.array([[0, 0, 1, 1, 255]], np.uint8)
    mask = np.array([[0, 0, 0, 255, 0]], np.uint8)
    confidence = np.array([[51, 255, 204, 9, 9]], np.uint8)  # 0.2, 1 and 0.8
    calibration.add(truth, mask, confidence)
    error = pytest.approx((1 / 3) * 0.8 + (2 / 3) * 0.4)
    assert calibration.figures(["road", "sky"]) == {
        "expected_calibration_error": error,
        "mean_confidence": pytest.approx(2 / 3),
        "accuracy": pytest.approx(2 / 3),
        "pixels": 3,
        "per_class": {"road": error, "sky": None},
        "bins": [
            {
                "low": 0.0,
                "high": 0.5,
                "share": pytest.approx(1 / 3),
                "confidence": pytest.approx(0.2),
                "accuracy": 1.0,
            },
            {
                "low": 0.5,
                "high": 1.0,
                "share": pytest.approx(2 / 3),
                "confidence": pytest.approx(0.9),
                "accuracy": 0.5,
            },
        ],
    }


def test_comparisons():
    some, none = Interval(0.25, 0.125, 0.5), Interval(NAN, NAN, NAN)
    found = PairedDifference(some, [none, Interval(-0.5, -1.0, 0.0)], 40, 5, 2000, 0.95)
    assert found.figures(["road", "sky"]) == {
        "miou": {"difference": 0.25, "low": 0.125, "high": 0.5, "excludes_zero": True},
        "per_class": {
            "road": {"difference": None, "low": None, "high": None, "excludes_zero": False},
            "sky": {"difference": -0.5, "low": -1.0, "high": 0.0, "excludes_zero": False},
        },
        "frames": 40,
        "blocks": 5,
        "resamples": 2000,
        "level": 0.95,
    }
    assert Interval(-0.5, -1.0, -0.25).excludes_zero and not Interval(0.5, 0.0, 1.0).excludes_zero
    changed = ChangedPixels(2)
    changed.gained += [3, 1]
    changed.lost += [0, 5]
    assert changed.figures(["road", "sky"]) == {
        "gained": 4,
        "lost": 5,
        "per_class": {"road": {"gained": 3, "lost": 0}, "sky": {"gained": 1, "lost": 5}},
    }


def test_stabilitys():
    method = FlowMethod("medium", 160)
    found = StabilityScores(scores(CONFUSION), 0.25, 0.125, 7, 6, 0.75, method)
    assert found.figures(["road", "sky"]) == {
        "temporal_consistency": pytest.approx((6 / 9 + 1 / 4) / 2),
        "disagreement": 0.25,
        "flicker": 0.125,
        "pairs": 7,
        "triples": 6,
        "trusted_pixels": 0.75,
        "per_class": {"road": pytest.approx(6 / 9), "sky": 0.25},
        "flow": {
            "method": "OpenCV DIS",
            "preset": "medium",
            "max_side": 160,
            "refinements": 2,
            "propagation": False,
            "check": "|f + b∘f| ≤ 1 px + 1 % of |f|, in blocks of 4 px",
        },
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"preset": "slow"},
            "optical flow preset is 'slow'; expected one of ultrafast, fast, medium",
        ),
        ({"max_side": 63}, "optical flow max_side is 63; expected at least 64"),
        ({"refinements": -1}, "optical flow refinements is -1; expected 0 or more, or None"),
    ],
)
def test_flow_methods_out_of_range_are_refused(options, message):
    with pytest.raises(ArgumentError) as caught:
        FlowMethod(**options)
    assert str(caught.value) == message
    assert FlowMethod(max_side=64).size((1, 256)) == (1, 64)


def test_an_index_per_class_may_be_added():
    found = per_class(scores(CONFUSION), ["road", "sky"], more=np.array([NAN, 2.0]))
    assert [found[name]["more"] for name in ("road", "sky")] == [None, 2.0]


@pytest.mark.parametrize(("dtype", "value"), [(np.int64, 2**40 + 1), (np.float32, 0.5), (bool, 1)])
def test_arrays_that_grow_keep_their_type_and_their_rows(dtype, value):
    rows = GrowingArray(dtype, (2,))
    for _ in range(600):  # past two enlargements
        rows.append((value, 0))
    assert len(rows) == 600 and rows.values.dtype == np.dtype(dtype)
    assert (rows.values == [value, 0]).all()
    rows[599] = (0, value)
    assert rows.values[599].tolist() == [0, value] and rows.values[598].tolist() == [value, 0]


def test_percentiles_are_float64_whatever_comes():
    large = np.array([2**24 + 1] * 3 + [2**24 + 3], np.int64)
    assert percentiles(large, (0, 100)) == {
        "mean": 2**24 + 1.5,
        "p0": 2**24 + 1.0,
        "p100": 2**24 + 3.0,
    }
    halves = np.array([2048, 2050, 2050], np.float16)  # whose mean a float16 cannot hold
    assert percentiles(halves)["mean"] == pytest.approx(2049 + 1 / 3)


def test_bytes_are_ranked_as_numbers():
    stamps = np.arange(3) * 10**10
    assert highest(np.array([0, 3, 200], np.uint8), stamps) == [2, 1, 0]


def test_of_two_frames_one_is_the_calmest_and_one_the_worst():
    flicker = np.array([0.5, 0.25])
    found = instability(flicker, np.full(2, NAN), np.full(2, NAN))
    assert found.tolist() == [1.0, 0.0]
    assert instability(flicker[:1], flicker[:1], flicker[:1]).tolist() == [0.0]
