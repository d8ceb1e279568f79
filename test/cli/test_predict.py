"""``python -m bisenet_ros predict``: what is written, and what happens when it cannot be."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from bag_formats import broken, text, write_mcap
from drives import IMAGES, PERIOD, SHAPE, START, drive, scene

from bisenet_ros.cli import main
from bisenet_ros.datasets import DatasetOptions
from bisenet_ros.datasets.registry import open_every_split
from bisenet_ros.inference import Segmenter
from bisenet_ros.recordings.bag_files import open_bag
from bisenet_ros.recordings.image_messages import ImageMessage
from bisenet_ros.replay.predictor import SegmenterPredictor

EXACT = ("--device", "cpu", "--engine", "torch", "--precision", "fp32")


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    return write_mcap(tmp_path_factory.mktemp("bag") / "drive.mcap", drive(labels=False))


@pytest.fixture
def run(small_weights):
    def predict(*arguments: object) -> int:
        return main(["predict", *map(str, arguments), "--weights", str(small_weights), *EXACT])

    return predict


def film(path: Path) -> list[tuple[float, tuple[int, int]]]:
    """Time and (height, width) of every frame."""
    with av.open(str(path)) as container:
        return [(frame.time, (frame.height, frame.width)) for frame in container.decode(video=0)]


def summary(out: Path) -> dict:
    return json.loads((out / "predictions.json").read_text())


def test_a_bag_becomes_a_video(run, bag, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    assert run(bag, "--out", out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["overlay.mp4", "predictions.json"]
    frames = film(out / "overlay.mp4")
    assert [size for _, size in frames] == [SHAPE] * 6
    assert [time for time, _ in frames] == pytest.approx([0.1 * i for i in range(6)], abs=0.01)
    found = summary(out)
    assert found["frames"] == 6 and not found["partial"] and found["frames_per_s"] > 0
    assert [one["name"] for one in found["classes"]] == ["floor", "wall", "thing"]
    shown = capsys.readouterr().out
    assert "6 frames" in shown and "frames/s" in shown and str(out / "overlay.mp4") in shown


def test_masks_of_images_are_the_segmenters(run, tmp_path, small_weights):
    images = tmp_path / "images"
    images.mkdir()
    for index, name in enumerate(("b10.png", "b9.jpg", "b9.png")):
        cv2.imwrite(str(images / name), scene(index)[0])
    assert run(images, "--out", tmp_path / "out", "--masks", "--batch", 2) == 0
    segmenter = Segmenter(small_weights, "cpu", "fp32", "torch")
    names = {"b9.jpg": "b9", "b9.png": "b9-1", "b10.png": "b10"}
    written = sorted(path.stem for path in (tmp_path / "out" / "masks").iterdir())
    assert written == sorted(names.values())
    for source, name in names.items():
        mask = cv2.imread(str(tmp_path / "out" / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        (alone,) = segmenter([cv2.imread(str(images / source))], "bgr")
        assert np.array_equal(mask, alone.mask)
    assert run(images / "b10.png", "--out", tmp_path / "one") == 0
    assert [path.name for path in (tmp_path / "one" / "overlays").iterdir()] == ["b10.jpg"]
    assert run(f"{images}/b9.*", "--out", tmp_path / "glob", "--overlays") == 0
    assert len(list((tmp_path / "glob" / "overlays").iterdir())) == 2


def test_a_bag_of_predictions_has_the_original_stamps(run, bag, tmp_path):
    out = tmp_path / "out"
    assert run(bag, "--out", out, "--bag", "--every", 2, "--start", 0.1, "--duration", 0.4) == 0
    storage = open_bag(out / "predictions")
    try:
        topics = {channel.topic for channel in storage.channels}
        stamps = [ImageMessage.of(m).stamp_ns for m in storage.messages(["/bisenet/mask"])]
    finally:
        storage.close()
    assert stamps == [START + i * PERIOD for i in (1, 3)]
    assert topics == {
        f"/bisenet/{name}"
        for name in ("mask", "confidence", "overlay/compressed", "label_info", "labels")
    }


def test_a_video_can_be_read_back(run, bag, tmp_path):
    assert run(bag, "--out", tmp_path, "--limit", 3) == 0
    again = tmp_path / "again"
    assert run(tmp_path / "overlay.mp4", "--out", again, "--json", tmp_path / "copy.json") == 0
    assert len(film(again / "overlay.mp4")) == 3
    assert json.loads((tmp_path / "copy.json").read_text()) == summary(again)


def test_ctrl_c_keeps_what_was_done(run, bag, tmp_path, monkeypatch, capsys):
    calls = []
    plain = SegmenterPredictor.__call__

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return plain(self, *arguments)

    monkeypatch.setattr(SegmenterPredictor, "__call__", interrupted)
    out = tmp_path / "out"
    assert run(bag, "--out", out, "--video", "--masks", "--bag") == 130
    assert len(film(out / "overlay.mp4")) == 3
    assert summary(out)["partial"] and summary(out)["frames"] == 3
    assert len(list((out / "masks").iterdir())) == 3
    assert sorted(p.name for p in out.iterdir()) == [
        "masks",
        "overlay.mp4",
        "predictions",
        "predictions.json",
    ]
    assert "partial" in capsys.readouterr().out
    calls[:] = [1, 1, 1]  # the next one is the first
    assert run(bag, "--out", tmp_path / "none") == 130
    assert list((tmp_path / "none").iterdir()) == []


def refused(capsys, code: int, found: int, *words: str) -> None:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert found == code, lines
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]


def test_what_cannot_be_read_is_refused_in_one_line(run, bag, tmp_path, capsys):
    out = ("--out", tmp_path / "out")
    refused(capsys, 3, run(tmp_path / "no.mcap", *out), "no.mcap does not exist")
    refused(capsys, 3, run(tmp_path / "*.png", *out), "does not exist")
    (tmp_path / "a.mp4").write_bytes(b"no video")
    refused(capsys, 3, run(tmp_path / "a.mp4", *out), "cannot be read as a video")
    (tmp_path / "a.png").write_bytes(b"no image")
    refused(capsys, 3, run(tmp_path / "a.png", *out), "none of 1 images can be decoded")
    words = write_mcap(tmp_path / "words.mcap", [text("/chat", START)])
    refused(capsys, 3, run(words, *out), "holds no images", "/chat", "std_msgs/msg/String")
    refused(capsys, 3, run(bag, *out, "--start", 99), "gave no frame")
    refused(capsys, 3, run(bag, *out, "--topic", "/other"), "/other", IMAGES)
    refused(capsys, 2, run(tmp_path / "a.png", *out, "--topic", "/cam"), "not one")
    refused(capsys, 2, run(bag, "--out", tmp_path / "a.png"), "--out", "a.png")
    refused(capsys, 3, run("webcam:99", *out), "/dev/video99")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_damaged_messages_are_counted_and_left_out(run, tmp_path, capsys):
    notes = [*drive(3, labels=False), broken(IMAGES, START + 4 * PERIOD)]
    path = write_mcap(tmp_path / "a.mcap", notes)
    assert run(path, "--out", tmp_path / "out") == 0
    assert summary(tmp_path / "out")["frames"] == 3
    assert "warning: 1 images cannot be decoded" in capsys.readouterr().err
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert run(cut, "--out", tmp_path / "half") == 0
    assert 0 < summary(tmp_path / "half")["frames"] < 3
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("wanted", ["--masks", "--video", "--bag"])
def test_a_full_disk_leaves_no_half_file(run, bag, tmp_path, capsys, wanted):
    plain = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, plain[1]))  # stands for a full disk
    try:
        code = run(bag, "--out", tmp_path / "out", wanted)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, plain)
    refused(capsys, 3, code, "cannot be written", "make room")
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert left == []


def test_predictions_become_labels_to_correct(run, bag, tmp_path, small_weights, capsys):
    """CVAT's layout, with every class, and what the package itself reads of it."""
    out = tmp_path / "out"
    assert run(bag, "--out", out, "--to", "cvat", "--masks", "--limit", 3) == 0
    names = [f"{index:06d}" for index in range(3)]
    listed = (out / "cvat/ImageSets/Segmentation/default.txt").read_text().split()
    assert listed == names and summary(out)["outputs"][-1] == str(out / "cvat")
    lines = (out / "cvat/labelmap.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in lines if not line.startswith("#")] == [
        "background",
        "floor",
        "wall",
        "thing",
    ]
    _, splits = open_every_split("cvat", out / "cvat", DatasetOptions(val_share=0.3))
    for labelled in splits.values():
        for index, sample in enumerate(labelled.samples):
            image, ids = labelled.read(index)
            mask = cv2.imread(str(out / f"masks/{sample.name}.png"), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(ids, mask)
            segmenter = Segmenter(small_weights, "cpu", "fp32", "torch")
            assert np.array_equal(segmenter([image])[0].mask, mask)
    assert run(bag, "--out", out, "--to", "cvat") == 2
    assert "holds files" in capsys.readouterr().err
    assert run(bag, "--out", tmp_path / "x", "--to", "paint") == 2
    assert "expected one of folder, cvat, voc, coco, labelme" in capsys.readouterr().err
