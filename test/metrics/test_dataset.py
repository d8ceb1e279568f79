"""Scores over a set, against the same figures from all pixels at once."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_jaccard_index,
)

from bisenet_ros.errors import DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.metrics.boundary import boundary_f
from bisenet_ros.metrics.dataset import ImageScores, ends, evaluate

UNLABELLED = 255
LABELS = LabelSet(("road", "tree", "kerb"), ((128, 64, 128), (107, 142, 35), (10, 20, 230)))


@dataclass
class NamedSample:
    name: str


class MadeUp:
    """Images whose first channel is what the fake network says of them."""

    labels = LABELS

    def __init__(self, masks: list[np.ndarray], truths: list[np.ndarray]) -> None:
        self.pairs = [
            (np.repeat(mask[..., None], 3, 2), truth)
            for mask, truth in zip(masks, truths, strict=True)
        ]
        self.samples = tuple(NamedSample(f"street_{i}") for i in range(len(masks)))

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.pairs[index]


def said(image: np.ndarray) -> np.ndarray:
    return image[..., 0]


@pytest.fixture
def images() -> MadeUp:
    random = np.random.default_rng(3)
    shapes = [(30, 40), (24, 50), (30, 40)]
    truths = [random.integers(0, 3, shape).astype(np.uint8) for shape in shapes]
    masks = [random.integers(0, 3, shape).astype(np.uint8) for shape in shapes]
    for truth, mask in zip(truths, masks, strict=True):
        mask[:20] = truth[:20]
        truth[:3] = UNLABELLED
    return MadeUp(masks, truths)


def test_the_figures_are_those_of_all_pixels_together(images):
    found = evaluate(said, images, 3).scores
    truth = np.concatenate([truth.reshape(-1) for _, truth in images.pairs]).astype(np.int64)
    mask = np.concatenate([said(image).reshape(-1) for image, _ in images.pairs]).astype(np.int64)
    t, p = torch.from_numpy(truth), torch.from_numpy(mask)
    theirs = {"preds": p, "target": t, "num_classes": 3, "ignore_index": UNLABELLED}
    ious = multiclass_jaccard_index(**theirs, average="none").numpy()
    np.testing.assert_allclose(found.iou, ious, rtol=1e-5)
    assert found.miou == pytest.approx(float(ious.mean()), rel=1e-5)
    weighted = multiclass_jaccard_index(**theirs, average="weighted")
    assert found.frequency_weighted_iou == pytest.approx(float(weighted), rel=1e-5)
    accuracy = multiclass_accuracy(**theirs, average="micro")
    assert found.pixel_accuracy == pytest.approx(float(accuracy), rel=1e-5)
    kept = truth != UNLABELLED
    for c in range(3):
        hits = ((truth == c) & (mask == c) & kept).sum()
        assert found.precision[c] == pytest.approx(hits / ((mask == c) & kept).sum())
        assert found.recall[c] == pytest.approx(hits / (truth == c).sum())
        assert found.shares[c] == pytest.approx((truth == c).sum() / kept.sum())


def test_each_image_has_its_own_figures(images):
    found = evaluate(said, images, 3)
    assert [image.name for image in found.images] == ["street_0", "street_1", "street_2"]
    for one, (image, truth) in zip(found.images, images.pairs, strict=True):
        mask, kept = said(image), truth != UNLABELLED
        ious = [
            ((truth == c) & (mask == c)).sum() / (kept & ((truth == c) | (mask == c))).sum()
            for c in range(3)
        ]
        assert one.miou == pytest.approx(np.mean(ious))
        assert one.pixel_accuracy == pytest.approx((truth == mask)[kept].mean())
        assert one.boundary_f == pytest.approx(np.mean(boundary_f(truth, mask, 3)))
        assert (one.height, one.width) == truth.shape


def test_boundaries_are_means_over_the_images(images):
    found = evaluate(said, images, 3).boundary
    each = [boundary_f(truth, said(image), 3) for image, truth in images.pairs]
    np.testing.assert_allclose(found.f, np.mean(each, 0))
    assert found.mean == pytest.approx(np.mean(each))


def test_the_truth_itself_scores_one(images):
    perfect = MadeUp([truth for _, truth in images.pairs], [truth for _, truth in images.pairs])
    found = evaluate(said, perfect, 3)
    assert found.scores.miou == found.scores.frequency_weighted_iou == found.boundary.mean == 1


def test_how_far_it_is_gets_told(images):
    told: list[int] = []
    evaluate(said, images, 3, told.append)
    assert told == [1, 2, 3]


def test_the_figures_are_json_with_none_for_what_is_undefined(images):
    for _, truth in images.pairs:
        truth[truth == 2] = UNLABELLED
    for image, _ in images.pairs:
        image[image == 2] = 1
    figures = evaluate(said, images, 3).figures(LABELS)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert figures["per_class"]["kerb"] == {
        "iou": None,
        "precision": None,
        "recall": None,
        "share": 0.0,
        "boundary_f": None,
    }
    assert figures["scored"] == 3 and figures["boundary_tolerance_px"] == [1]
    assert figures["labelled_pixels"] == sum(map(sum, figures["confusion"]))


def test_ids_that_the_network_has_no_class_for_are_refused_by_name(images):
    images.pairs[1][1][20, 4] = 7
    with pytest.raises(DataError, match=r"street_1 has id 7.*3 classes"):
        evaluate(said, images, 3)


def test_nothing_labelled_is_nothing_scored(images):
    for _, truth in images.pairs:
        truth[:] = UNLABELLED
    with pytest.raises(DataError, match="no labelled pixel"):
        evaluate(said, images, 3)
    with pytest.raises(DataError, match="0 images"):
        evaluate(said, MadeUp([], []), 3)


def test_an_image_without_labels_has_no_figures_and_is_no_end(images):
    images.pairs[0][1][:] = UNLABELLED
    found = evaluate(said, images, 3)
    assert math.isnan(found.images[0].miou)
    best, worst = ends(found.images, 3)
    assert {best[0].name, worst[0].name} == {"street_1", "street_2"}
    assert best[0].miou >= worst[0].miou


def test_the_best_and_the_worst_are_no_image_twice():
    images = [ImageScores(i, f"{i}", 1, 1, i / 10, 1.0, 1.0, 1) for i in range(5)]
    best, worst = ends(images, 3)
    assert [i.index for i in best] == [4, 3]
    assert [i.index for i in worst] == [0, 1]
    assert ends(images[:1], 3) == ([], [])
