"""Two models on the same frames, where the answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bag_formats import Note, raw, write_mcap

from bisenet_ros.errors import ArgumentError
from bisenet_ros.labels import LabelSet
from bisenet_ros.metrics.bootstrap import blocks, class_counts, paired_difference
from bisenet_ros.metrics.confusion import confusion_matrix
from bisenet_ros.recordings.bag_frames import BagFrames, BagOptions
from bisenet_ros.recordings.frame_stream import RecordedFrame
from bisenet_ros.recordings.label_decoding import LabelCoding
from bisenet_ros.replay.compare import compare
from bisenet_ros.replay.predictor import FunctionPredictor, Prediction
from bisenet_ros.replay.score import ScoreOptions, score

LABELS = LabelSet(("a", "b", "c"), ((10, 20, 30), (200, 0, 0), (0, 0, 250)))
START = 1_700_000_000 * 10**9
SHAPE = (12, 16)


def notes(count: int = 40, labels: bool = True) -> list[Note]:
    """Images that hold their truth in blue, and noise in green; 10 Hz."""
    found = []
    for index in range(count):
        random = np.random.default_rng(index)
        image = random.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
        image[..., 0] = random.choice([0, 1, 2], SHAPE)
        found.append(raw("/cam", START + index * 10**8, image, "bgr8"))
        if labels:
            truth = image[..., 0].copy()
            truth[0] = 255
            found.append(raw("/labels", START + index * 10**8, truth, "mono8"))
    return found


def wrong_where_green_is_below(level: int) -> FunctionPredictor:
    """A model that is wrong on level / 256 of the pixels."""

    def predict(image: np.ndarray, _: str) -> tuple[np.ndarray, None]:
        truth, noise = image[..., 0], image[..., 1]
        return np.where(noise < level, (truth + 1) % 3, truth).astype(np.uint8), None

    return FunctionPredictor(LABELS, predict)


GOOD, BAD = wrong_where_green_is_below(30), wrong_where_green_is_below(80)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mcap(tmp_path_factory.mktemp("bag") / "a.mcap", notes())


def opened(path: Path) -> BagFrames:
    return BagFrames(path, BagOptions(coding=LabelCoding(3)))


def test_each_model_is_scored_as_if_alone(bag: Path):
    found = compare(opened(bag), BAD, GOOD)
    for model, scored in ((BAD, found.first), (GOOD, found.second)):
        alone = score(opened(bag), model).scores
        assert scored.scores.miou == alone.scores.miou
        assert scored.stability.flicker == alone.stability.flicker
    assert found.difference.miou.value == found.second.scores.miou - found.first.scores.miou
    assert found.difference.miou.excludes_zero
    assert found.run.frames == 40


def test_the_difference_is_that_of_the_frames_counts_in_blocks_of_a_second(bag: Path):
    found = compare(opened(bag), BAD, GOOD, seed=3)
    counts = []
    for model in (BAD, GOOD):
        each = []
        for index in range(40):
            image = notes(index + 1)[-2].fields["data"].reshape(*SHAPE, 3)
            truth = image[..., 0].copy()
            truth[0] = 255
            mask = model.function(image, "bgr")[0]
            each.append(class_counts(confusion_matrix(truth, mask, 3)))
        counts.append(np.array(each))
    block = blocks(START + np.arange(40) * 10**8)
    assert block.max() == 3
    assert found.difference == paired_difference(counts[0], counts[1], block, seed=3)


def test_pixels_gained_and_lost_are_exact(bag: Path):
    found = compare(opened(bag), BAD, GOOD)
    assert found.lost.sum() == 0
    gained = []
    for index in range(40):
        image = notes(index + 1)[-2].fields["data"].reshape(*SHAPE, 3)
        green = image[1:, :, 1]
        gained.append(int(((green >= 30) & (green < 80)).sum()))
        whole = image[..., 1]
        assert found.apart[index] == ((whole >= 30) & (whole < 80)).mean()
    assert found.gained.tolist() == gained
    assert found.changed.gained.sum() == sum(gained)
    back = compare(opened(bag), GOOD, BAD)
    assert back.changed.lost.tolist() == found.changed.gained.tolist()


def test_a_model_is_not_different_from_itself(bag: Path):
    found = compare(opened(bag), GOOD, GOOD)
    interval = found.difference.miou
    assert (interval.value, interval.low, interval.high) == (0, 0, 0)
    assert found.changed.gained.sum() == found.changed.lost.sum() == 0
    assert not found.apart.any()


def test_frames_that_differ_most_are_a_second_apart(bag: Path):
    found = compare(opened(bag), BAD, GOOD)
    chosen = found.most_different(3)
    change = np.abs(found.miou_change)
    assert chosen[0] == int(change.argmax())
    assert min(abs(a - b) for a in chosen for b in chosen if a != b) >= 10
    row = found.figures()["most_different"][0]
    assert row["index"] == chosen[0]
    assert row["miou_change"] == pytest.approx(row["second_miou"] - row["first_miou"])
    assert row["gained"] == found.gained[chosen[0]]


def test_without_truth_models_differ_in_pixels(tmp_path: Path):
    path = write_mcap(tmp_path / "a.mcap", notes(15, labels=False))
    found = compare(opened(path), BAD, GOOD)
    assert found.difference is None
    figures = found.figures()
    assert figures["difference"] is None
    assert figures["changed_pixels"] is None
    assert figures["different_pixels"] == pytest.approx(50 / 256, abs=0.02)
    assert found.most_different(1) == [int(found.apart.argmax())]
    assert figures["most_different"][0]["miou_change"] is None
    assert json.dumps(figures, allow_nan=False)


def test_images_without_time_are_blocks_of_their_own(bag: Path):
    source = opened(bag)
    source.timed = False
    found = compare(source, BAD, GOOD, ScoreOptions(batch=4))
    assert found.difference.blocks == 40
    assert found.first.stability is None


def test_both_predictions_are_handed_out(bag: Path):
    seen = []

    def on_frame(frame: RecordedFrame, first: Prediction, second: Prediction) -> None:
        assert np.array_equal(first.mask, BAD.function(frame.image, frame.order)[0])
        assert np.array_equal(second.mask, GOOD.function(frame.image, frame.order)[0])
        seen.append(frame.index)

    compare(opened(bag), BAD, GOOD, on_frame=on_frame)
    assert seen == list(range(40))


def test_models_of_other_classes_are_refused(bag: Path):
    other = FunctionPredictor(LabelSet(("a", "x", "c"), LABELS.colours), GOOD.function)
    with pytest.raises(ArgumentError, match="different classes .b and x."):
        compare(opened(bag), GOOD, other)
    fewer = FunctionPredictor(LabelSet(("a", "b"), LABELS.colours[:2]), GOOD.function)
    with pytest.raises(ArgumentError, match="3 and 2 of them"):
        compare(opened(bag), GOOD, fewer)
