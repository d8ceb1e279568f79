"""Copies of a model side by side give what the model alone gives, in the same order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from bisenet_ros.errors import DataError
from bisenet_ros.inference import Segmenter
from bisenet_ros.recordings.frame_stream import RecordedFrame, Selection
from bisenet_ros.replay.predictor import FunctionPredictor, Prediction, SegmenterPredictor
from bisenet_ros.replay.side_by_side import MAX_COPIES, WORTHWHILE, Models

MANY = WORTHWHILE + 3


class Frames:
    """As much of a source as decides how many copies there are."""

    live = False
    seconds = None

    def __init__(self, expected: int | None, live: bool = False) -> None:
        self.expected, self.live = expected, live


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(small_weights: Path) -> SegmenterPredictor:
    return SegmenterPredictor(Segmenter(small_weights, engine="torch", precision="fp32"))


def frames(count: int) -> list[RecordedFrame]:
    random = np.random.default_rng(0)
    return [
        RecordedFrame(
            index, index, random.integers(0, 256, (50 + index % 3, 70, 3), np.uint8), "rgb"
        )
        for index in range(count)
    ]


def batches(count: int, size: int) -> list[list[RecordedFrame]]:
    made = frames(count)
    return [made[start : start + size] for start in range(0, count, size)]


def same(one: Prediction, other: Prediction) -> bool:
    parts = ("mask", "confidence", "overlay")
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in parts)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("engine", ["torch", "openvino", "onnxruntime"])
def test_they_give_the_same_bytes_in_the_same_order(small_weights: Path, engine: str, size: int):
    alone = SegmenterPredictor(Segmenter(small_weights, engine=engine))
    models = Models([alone], Frames(MANY), Selection())
    assert len(models.copies) == 2
    given = batches(MANY, size)
    found = list(models.run(given, overlay=True))
    assert [batch for batch, _ in found] == given
    for batch, (predictions,) in found:
        expected = alone([f.image for f in batch], [f.order for f in batch], overlay=True)
        assert all(same(*pair) for pair in zip(predictions, expected, strict=True))


def test_two_models_see_each_frame_together(model: SegmenterPredictor, small_weights: Path):
    other = SegmenterPredictor(Segmenter(small_weights, engine="torch"), threshold=0.9)
    models = Models([model, other], Frames(MANY), Selection())
    assert len(models.copies) == 2
    for batch, (first, second) in models.run(batches(9, 1), overlay=False):
        assert same(first[0], model([batch[0].image], ["rgb"])[0])
        assert same(second[0], other([batch[0].image], ["rgb"])[0])


def test_the_threads_are_shared_out_and_given_back(
    model: SegmenterPredictor, monkeypatch: pytest.MonkeyPatch
):
    seen = set()
    real = SegmenterPredictor.__call__

    def watched(self, *args, **options):
        seen.add((threading.current_thread().name, torch.get_num_threads()))
        return real(self, *args, **options)

    models = Models([model], Frames(MANY), Selection())
    monkeypatch.setattr(SegmenterPredictor, "__call__", watched)
    assert len(list(models.run(batches(20, 1), overlay=False))) == 20
    assert {threads for _, threads in seen} == {1}
    assert threading.current_thread().name not in {name for name, _ in seen}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("source", "selection"),
    [
        (Frames(WORTHWHILE - 1), Selection()),
        (Frames(10_000), Selection(limit=5)),
        (Frames(None, live=True), Selection()),
    ],
)
def test_few_frames_and_cameras_are_served_by_the_model_itself(
    model: SegmenterPredictor, source: Frames, selection: Selection
):
    assert Models([model], source, selection).copies == [[model]]


def test_what_cannot_be_copied_runs_alone(model: SegmenterPredictor):
    function = FunctionPredictor(model.labels, lambda image, _: (image[..., 0] // 128, None))
    for predictors in ([function], [model, function]):
        assert Models(predictors, Frames(MANY), Selection()).copies == [predictors]
    torch.set_num_threads(1)
    assert Models([model], Frames(MANY), Selection()).copies == [[model]]


def test_many_cores_get_copies_of_several_threads(model: SegmenterPredictor):
    torch.set_num_threads(2 * MAX_COPIES + 1)
    fresh = SegmenterPredictor(model.segmenter)
    models = Models([fresh], Frames(None), Selection())
    assert len(models.copies) == MAX_COPIES
    found = list(models.run(batches(12, 1), overlay=False))
    assert [batch[0].index for batch, _ in found] == list(range(12))


def test_an_error_comes_where_its_frame_would_have_come(model: SegmenterPredictor):
    models = Models([model], Frames(MANY), Selection())
    given = batches(12, 1)
    given[7][0] = RecordedFrame(7, 7, np.zeros((4, 4), np.uint8), "rgb")
    done = []
    with pytest.raises(DataError, match="expected uint8"):
        for batch, _ in models.run(given, overlay=False):
            done.append(batch[0].index)
    assert done == list(range(7))
    assert len(list(models.run(batches(12, 1), overlay=False))) == 12  # the copies are all free
    assert torch.get_num_threads() == 2


def test_giving_up_leaves_no_thread(model: SegmenterPredictor):
    models = Models([model], Frames(MANY), Selection())
    before = threading.active_count()
    with closing(models.run(batches(40, 1), overlay=False)) as results:
        next(results)
    assert threading.active_count() == before
    assert torch.get_num_threads() == 2
