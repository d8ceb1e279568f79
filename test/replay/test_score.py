"""Scores of recordings against the same figures computed one by one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_formats import Note, compressed, raw, write_mcap

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.inference import Segmenter
from bisenet_ros.labels import LabelSet
from bisenet_ros.metrics import dataset
from bisenet_ros.metrics.calibration import Calibration
from bisenet_ros.metrics.stability import Stability
from bisenet_ros.metrics.video_consistency import VideoConsistency
from bisenet_ros.recordings.bag_frames import BagFrames, BagOptions
from bisenet_ros.recordings.frame_stream import RecordedFrame, Selection, read_frames
from bisenet_ros.recordings.label_decoding import LabelCoding
from bisenet_ros.recordings.media_frames import open_frames
from bisenet_ros.replay.outputs import write_frames, write_metrics
from bisenet_ros.replay.predictor import FunctionPredictor, Prediction, SegmenterPredictor
from bisenet_ros.replay.score import ScoreOptions, bare_rate, score
from bisenet_ros.ros.evaluation.scorer import ScoredFrame, Scorer

LABELS = LabelSet(("floor", "wall", "thing"), ((10, 20, 30), (200, 0, 0), (0, 0, 250)))
START = 1_700_000_000 * 10**9
PERIOD = 10**8
SHAPE = (40, 56)


def threshold(image: np.ndarray, order: str) -> tuple[np.ndarray, np.ndarray]:
    """A stand-in for a network: classes by brightness of the red channel."""
    red = image[..., 0 if order == "rgb" else 2]
    mask = (red // 86).astype(np.uint8)
    return mask, (255 - red // 2).astype(np.uint8)


MODEL = FunctionPredictor(LABELS, threshold)


def scene(index: int) -> tuple[np.ndarray, np.ndarray]:
    """A blurred BGR image that moves, and a truth that agrees with its brightness mostly."""
    random = np.random.default_rng(7)
    big = random.integers(0, 256, (SHAPE[0], SHAPE[1] + 60, 3)).astype(np.float32)
    big = cv2.GaussianBlur(big, (0, 0), 3)
    big = cv2.normalize(big, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    image = np.ascontiguousarray(big[:, index : index + SHAPE[1]])
    truth = np.minimum((image[..., 2].astype(int) + 20) // 86, 2).astype(np.uint8)
    truth[:4] = 255
    return image, truth


def notes(count: int = 12, labels: bool = True) -> list[Note]:
    found = []
    for index in range(count):
        image, truth = scene(index)
        found.append(raw("/cam", START + index * PERIOD, image, "bgr8"))
        if labels:
            found.append(compressed("/labels/compressed", START + index * PERIOD, truth))
    return found


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mcap(tmp_path_factory.mktemp("bag") / "drive.mcap", notes())


def opened(path: Path) -> BagFrames:
    return BagFrames(path, BagOptions(coding=LabelCoding(len(LABELS))))


class Labelled:
    """The same frames as a labelled set, as ``evaluate --data`` sees one."""

    labels = LABELS

    def __init__(self, frames: list[RecordedFrame]) -> None:
        self.frames = frames
        self.samples = [type("Sample", (), {"name": str(frame.index)}) for frame in frames]

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        frame = self.frames[index]
        rgb = frame.image if frame.order == "rgb" else frame.image[..., ::-1]
        return rgb, frame.truth


def test_the_scores_are_those_of_the_same_images_as_a_data_set(bag: Path):
    found = score(opened(bag), MODEL).scores
    frames = list(read_frames(opened(bag)))
    expected = dataset.evaluate(lambda rgb: threshold(rgb, "rgb")[0], Labelled(frames), 3)
    assert found.scores.miou == expected.scores.miou  # to the last digit
    assert found.scores.confusion.tolist() == expected.scores.confusion.tolist()
    figures = found.figures()
    same = expected.figures(LABELS)
    for key in ("miou", "pixel_accuracy", "boundary_f", "per_class", "frequency_weighted_iou"):
        assert figures[key] == same[key]
    assert figures["boundary_tolerance_px"] == same["boundary_tolerance_px"]
    for row, image in zip(found.records.rows(LABELS.names), same["images"], strict=True):
        assert row["miou"] == image["miou"]
        assert row["boundary_f"] == image["boundary_f"]


def test_the_scores_are_those_of_the_live_scorer(bag: Path):
    found = score(opened(bag), MODEL).scores.scores
    live = Scorer()
    for frame in read_frames(opened(bag)):
        mask, _ = threshold(frame.image, frame.order)
        size = {"width": SHAPE[1], "height": SHAPE[0], "encoding": "mono8", "frame_id": "camera"}
        live.add_mask(mask, ScoredFrame(frame.stamp_ns, 0.0, 0.0, **size))
        live.add_label(frame.stamp_ns, frame.truth)
    assert live.figures(LABELS)["miou"] == found.miou
    assert live.figures(LABELS)["confusion"] == found.confusion.tolist()


def test_figures_over_time_and_calibration_are_those_of_their_own_classes(bag: Path):
    found = score(opened(bag), MODEL).scores
    stability, calibration, constancy = Stability(3), Calibration(3), VideoConsistency()
    over_time = []
    for frame in read_frames(opened(bag)):
        mask, confidence = threshold(frame.image, frame.order)
        over_time.append(stability.add(frame.image, frame.order, mask, frame.stamp_ns))
        calibration.add(frame.truth, mask, confidence)
        constancy.add(frame.truth, mask)
    expected = stability.scores()
    assert found.stability.flicker == expected.flicker
    assert found.stability.consistency.miou == expected.consistency.miou
    assert found.stability.pairs == 11
    assert np.array_equal(found.calibration.counts, calibration.counts)
    assert found.video_consistency[8] == constancy.score(8)
    assert np.isnan(found.video_consistency[16])
    flicker = found.records.column("flicker")
    told_later = [one.flicker_before for one in over_time[1:]] + [np.nan]
    assert flicker.tolist() == pytest.approx(told_later, nan_ok=True)
    consistency = found.records.column("consistency").tolist()
    assert consistency == pytest.approx([one.consistency for one in over_time], nan_ok=True)


def test_shares_and_confidence_of_each_frame(bag: Path):
    found = score(opened(bag), MODEL).scores
    for place, frame in enumerate(read_frames(opened(bag))):
        mask, confidence = threshold(frame.image, frame.order)
        shares = [float((mask == c).mean()) for c in range(3)]
        assert found.records.shares[place].tolist() == pytest.approx(shares)
        mean = float(confidence.mean()) / 255
        assert found.records.column("confidence")[place] == pytest.approx(mean)


def test_pixels_without_a_class_have_no_confidence(tmp_path: Path):
    def sure_of_half(image: np.ndarray, _: str) -> tuple[np.ndarray, np.ndarray]:
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[20:] = 255
        confidence = np.full(mask.shape, 204, np.uint8)
        confidence[20:] = 0
        return mask, confidence

    path = write_mcap(tmp_path / "a.mcap", notes(3))
    found = score(opened(path), FunctionPredictor(LABELS, sure_of_half)).scores
    assert found.records.column("confidence").tolist() == pytest.approx([0.8] * 3)
    assert found.records.shares[0].tolist() == pytest.approx([0.5, 0, 0])
    assert found.confusion[:, 3].sum() == 3 * 20 * SHAPE[1]


@pytest.mark.parametrize("batch", [2, 5, 100])
def test_batches_change_nothing(bag: Path, batch: int):
    one, many = (score(opened(bag), MODEL, ScoreOptions(batch=n)).scores for n in (1, batch))
    drop = {"stage_ms": None, "worst": None, "most_unstable": None}
    assert one.figures() | drop == many.figures() | drop
    assert many.records.column("index").tolist() == list(range(12))


def test_without_truth_everything_else_is_there(tmp_path: Path):
    path = write_mcap(tmp_path / "a.mcap", notes(labels=False))
    figures = score(opened(path), MODEL).figures()
    for key in ("miou", "boundary_f", "per_class", "confusion", "calibration"):
        assert figures[key] is None
    assert (figures["frames"], figures["labelled_frames"]) == (12, 0)
    assert figures["video_consistency"] == {"vc_8": None, "vc_16": None}
    assert figures["stability"]["temporal_consistency"] > 0.5
    assert figures["confidence"]["mean"] > 0
    assert sum(figures["class_shares"].values()) == pytest.approx(1)
    assert figures["worst"] == []
    assert len(figures["most_unstable"]) == 2  # of 1.1 s, a second apart
    assert json.dumps(figures, allow_nan=False)


def test_truth_of_some_frames_is_enough_for_all_but_video_consistency(tmp_path: Path):
    some = [note for i, note in enumerate(notes()) if note.topic == "/cam" or i % 3 == 0]
    figures = score(opened(write_mcap(tmp_path / "a.mcap", some)), MODEL).figures()
    assert 0 < figures["labelled_frames"] < 12
    assert figures["miou"] > 0.2
    assert figures["video_consistency"]["vc_8"] is None
    assert figures["notes"]["counts"]["images_without_label"] > 0


def test_images_have_no_figures_over_time_unless_asked_for(tmp_path: Path):
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), scene(index)[0])
    figures = score(open_frames(tmp_path), MODEL).figures()
    assert figures["stability"] is None
    assert figures["video_consistency"] == {}
    assert [row["name"] for row in figures["most_unstable"]]
    asked = score(open_frames(tmp_path), MODEL, ScoreOptions(temporal=True)).figures()
    assert asked["stability"]["pairs"] == 2


def test_frames_are_handed_out_in_order_and_counted(bag: Path):
    seen: list[int] = []
    told: list[int] = []

    def on_frame(frame: RecordedFrame, prediction: Prediction) -> None:
        assert prediction.mask.shape == SHAPE
        assert np.array_equal(prediction.mask, threshold(frame.image, frame.order)[0])
        seen.append(frame.index)

    options = ScoreOptions(Selection(every=2), batch=3)
    found = score(opened(bag), MODEL, options, on_frame, told.append)
    assert seen == [0, 2, 4, 6, 8, 10]
    assert told == [1, 2, 3, 4, 5, 6]
    assert (found.run.frames, found.run.partial) == (6, False)
    assert found.figures()["frames_per_s"] > 0
    assert found.figures()["source"]["image_topic"] == "/cam"


def test_an_interrupted_run_keeps_what_was_scored(bag: Path):
    def interrupt(frame: RecordedFrame, _: Prediction) -> None:
        if frame.index == 6:
            raise KeyboardInterrupt

    found = score(opened(bag), MODEL, on_frame=interrupt)
    assert found.run.partial
    figures = found.figures()
    assert figures["partial"]
    assert figures["frames"] == 7
    assert (
        figures["miou"]
        == score(opened(bag), MODEL, ScoreOptions(Selection(limit=7))).scores.scores.miou
    )


def test_a_run_interrupted_at_once_has_figures_too(bag: Path):
    def at_once(*_: object) -> tuple[np.ndarray, None]:
        raise KeyboardInterrupt

    found = score(opened(bag), FunctionPredictor(LABELS, at_once))
    assert (found.run.partial, found.run.frames) == (True, 0)
    assert found.figures()["frames"] == 0
    assert json.dumps(found.figures(), allow_nan=False)


def test_errors_of_the_model_and_of_labels_are_raised(bag: Path, tmp_path: Path):
    def broken(*_: object) -> tuple[np.ndarray, None]:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        score(opened(bag), FunctionPredictor(LABELS, broken))
    with pytest.raises(DataError, match="holds id 2, which is no class"):
        score(BagFrames(bag, BagOptions(coding=LabelCoding(2))), MODEL)
    with pytest.raises(DataError, match="gave no frame"):
        score(opened(bag), MODEL, ScoreOptions(Selection(start_s=1000)))
    with pytest.raises(ArgumentError, match="--batch"):
        ScoreOptions(batch=0)


def test_results_are_written_whole(bag: Path, tmp_path: Path):
    found = score(opened(bag), MODEL)
    write_metrics(tmp_path / "metrics.json", found.figures())
    write_frames(tmp_path / "frames.csv", found.scores.records, LABELS.names)
    assert json.loads((tmp_path / "metrics.json").read_text()) == found.figures()
    with (tmp_path / "frames.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert [int(row["stamp_ns"]) for row in rows] == [START + i * PERIOD for i in range(12)]
    assert float(rows[3]["miou"]) == found.scores.records.column("miou")[3]
    assert rows[0]["consistency"] == ""
    assert float(rows[0]["share_wall"]) > 0
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "frames.csv"}
    with pytest.raises(DataError, match="cannot be written"):
        write_frames(tmp_path / "missing" / "frames.csv", found.scores.records, LABELS.names)


def test_the_segmenter_is_scored_as_it_is(small_weights: Path, tmp_path: Path):
    segmenter = Segmenter(small_weights, device="cpu")
    model = SegmenterPredictor(segmenter)
    path = write_mcap(tmp_path / "a.mcap", notes(4))
    masks: list[np.ndarray] = []
    options = ScoreOptions(overlays=True)

    def on_frame(frame: RecordedFrame, prediction: Prediction) -> None:
        assert prediction.overlay.shape == (*SHAPE, 3)
        masks.append(prediction.mask)

    found = score(opened(path), model, options, on_frame)
    for frame, mask in zip(read_frames(opened(path)), masks, strict=True):
        (alone,) = segmenter([frame.image], frame.order)
        assert np.array_equal(mask, alone.mask)
    figures = found.figures()
    assert figures["classes"] == ["floor", "wall", "thing"]
    for stage in ("decode", "preprocess", "forward", "postprocess", "score"):
        assert figures["stage_ms"][stage]["p50"] > 0
    assert bare_rate(opened(path), model, frames=3, batch=2) > 0
