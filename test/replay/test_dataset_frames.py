"""A labelled set scored as a recording gives what ``evaluate --data`` gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trees

from bisenet_ros.datasets import DatasetOptions, LabelledSet, open_set
from bisenet_ros.errors import DataError
from bisenet_ros.metrics import dataset
from bisenet_ros.replay.compare import compare
from bisenet_ros.replay.dataset_frames import DatasetFrames
from bisenet_ros.replay.predictor import FunctionPredictor
from bisenet_ros.replay.score import score


@pytest.fixture
def labelled(tmp_path: Path) -> LabelledSet:
    return open_set("folder", trees.folder(tmp_path, 20), "val", DatasetOptions(val_share=0.5))


def model(labelled: LabelledSet, level: int = 86) -> FunctionPredictor:
    def predict(image: np.ndarray, order: str) -> tuple[np.ndarray, np.ndarray]:
        assert order == "rgb"
        return np.minimum(image[..., 0] // level, 2).astype(np.uint8), image[..., 1].copy()

    return FunctionPredictor(labelled.labels, predict)


def test_the_scores_are_those_of_the_data_set(labelled: LabelledSet):
    predictor = model(labelled)
    found = score(DatasetFrames(labelled, "here", 3), predictor)
    expected = dataset.evaluate(lambda image: predictor.function(image, "rgb")[0], labelled, 3)
    figures = found.figures()
    assert figures["miou"] == expected.scores.miou
    assert figures["confusion"] == expected.scores.confusion.tolist()
    assert figures["boundary_f"] == pytest.approx(expected.boundary.mean, nan_ok=True)
    assert figures["stability"] is None
    names = [sample.name for sample in labelled.samples]
    assert [found.scores.records.name(place) for place in range(len(names))] == names
    assert figures["source"]["split"] == "val"


def test_every_image_is_a_block_of_its_own(labelled: LabelledSet):
    frames = DatasetFrames(labelled, "here", 3)
    found = compare(frames, model(labelled), model(labelled, 60))
    assert found.difference.blocks == len(labelled)


def test_an_id_the_model_has_no_class_for_is_named(labelled: LabelledSet):
    with pytest.raises(DataError, match="holds id 2, which is no class; expected 0 to 1"):
        score(DatasetFrames(labelled, "here", 2), model(labelled))
