"""Predictions written as a bag come back, under the camera's stamps, and can be played."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rosbags.highlevel import AnyReader

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.bag_files import open_bag
from bisenet_ros.recordings.frame_stream import RecordedFrame
from bisenet_ros.recordings.prediction_bag import PredictionBag
from bisenet_ros.recordings.rosbag import Bag

LABELS = LabelSet(("floor", "Wände", "thing"), ((10, 20, 30), (200, 0, 0), (0, 0, 250)))
START = 1_700_000_000 * 10**9
IMAGE = np.zeros((6, 9, 3), np.uint8)


def frame(index: int) -> RecordedFrame:
    stamp = START + index * 10**8
    return RecordedFrame(index, stamp, IMAGE, "rgb", log_ns=stamp + 777, frame_id="front_optical")


def mask(index: int) -> np.ndarray:
    return np.random.default_rng(index).choice([0, 1, 2, 255], (6, 9)).astype(np.uint8)


def write(folder: Path, count: int = 4) -> Path:
    overlay = np.full((6, 9, 3), (200, 40, 10), np.uint8)
    there = folder.exists()
    with PredictionBag(folder, LABELS, threshold=0.25) as bag:
        for index in range(count):
            bag.add(frame(index), mask(index), 255 - mask(index), overlay)
        assert folder.exists() == there
    assert bag.frames == count
    return folder


def messages(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """(log time, message) by topic, read by definitions the bag itself holds."""
    found: dict[str, list[tuple[int, Any]]] = {}
    with AnyReader([folder]) as reader:
        for connection, log, data in reader.messages():
            content = reader.deserialize(data, connection.msgtype)
            found.setdefault(connection.topic, []).append((log, content))
    return found


def test_everything_comes_back_under_the_camera_s_header(tmp_path: Path):
    found = messages(write(tmp_path / "sub" / "predicted"))
    topics = ["mask", "confidence", "overlay/compressed", "label_info", "labels"]
    assert set(found) == {f"/bisenet/{topic}" for topic in topics}
    for index, (log, message) in enumerate(found["/bisenet/mask"]):
        assert log == frame(index).log_ns
        stamp = message.header.stamp
        assert stamp.sec * 10**9 + stamp.nanosec == frame(index).stamp_ns
        assert message.header.frame_id == "front_optical"
        assert (message.encoding, message.height, message.width, message.step) == ("mono8", 6, 9, 9)
        assert np.array_equal(message.data.reshape(6, 9), mask(index))
    confidence = found["/bisenet/confidence"][2][1]
    assert np.array_equal(confidence.data.reshape(6, 9), 255 - mask(2))
    overlay = found["/bisenet/overlay/compressed"]
    assert len(overlay) == 4
    assert overlay[0][1].format == "rgb8; jpeg compressed bgr8"


def test_labels_are_told_once_and_latched(tmp_path: Path):
    folder = write(tmp_path / "predicted")
    found = messages(folder)
    ((log, info),) = found["/bisenet/label_info"]
    assert log == frame(0).log_ns
    assert [(c.class_id, c.class_name) for c in info.class_map] == list(enumerate(LABELS.names))
    assert info.threshold == 0.25
    ((_, text),) = found["/bisenet/labels"]
    assert json.loads(text.data) == json.loads(LABELS.to_json())
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text())
    metadata = metadata["rosbag2_bagfile_information"]
    assert metadata["version"] == 8  # the last that Humble reads
    assert metadata["storage_identifier"] == "mcap"
    assert metadata["relative_file_paths"] == ["predicted.mcap"]
    assert not metadata["compression_mode"]  # chunks are compressed, which mcap does by itself
    for topic in metadata["topics_with_message_count"]:
        topic = topic["topic_metadata"]
        (qos,) = yaml.safe_load(topic["offered_qos_profiles"])
        latched = topic["name"] in ("/bisenet/label_info", "/bisenet/labels")
        assert qos["durability"] == (1 if latched else 2)
        assert qos["reliability"] == 1


def test_our_own_readers_take_it(tmp_path: Path):
    folder = write(tmp_path / "predicted")
    storage = open_bag(folder)
    assert len(list(storage.messages(["/bisenet/mask"]))) == 4
    assert storage.loss.sentence() == ""
    with Bag(folder) as bag:
        stamps = [message.stamp_ns for message in bag.messages([bag.find("/bisenet/mask")])]
    assert stamps == [frame(index).stamp_ns for index in range(4)]


def test_only_what_is_given_is_written(tmp_path: Path):
    with PredictionBag(tmp_path / "a", LABELS, namespace="/front/") as bag:
        bag.add(RecordedFrame(0, 5, IMAGE, "rgb"), mask(0))
    found = messages(tmp_path / "a")
    assert set(found) == {"/front/mask", "/front/label_info", "/front/labels"}
    assert found["/front/mask"][0][0] == 5  # without a log time the stamp


def test_after_an_error_nothing_is_left(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), PredictionBag(tmp_path / "a", LABELS) as bag:
        bag.add(frame(0), mask(0))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_an_older_bag_is_replaced_and_kept_after_an_error(tmp_path: Path):
    folder = write(tmp_path / "a", 2)
    with pytest.raises(RuntimeError), PredictionBag(folder, LABELS) as bag:
        bag.add(frame(0), mask(0))
        raise RuntimeError
    assert len(messages(folder)["/bisenet/mask"]) == 2
    write(folder, 3)
    assert len(messages(folder)["/bisenet/mask"]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_not_a_bag_is_not_replaced(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("years of work")
    with pytest.raises(ArgumentError, match="is not a bag"):
        PredictionBag(tmp_path / "a", LABELS)
    (tmp_path / "file").touch()
    with (
        pytest.raises(ArgumentError, match="cannot be written"),
        PredictionBag(tmp_path / "file" / "a", LABELS),
    ):
        pass


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(DataError, match="No space left"),
        PredictionBag(tmp_path / "a", LABELS) as bag,
    ):
        bag.add(frame(0), mask(0))
        monkeypatch.setattr(bag._writer, "write", full)
        bag.add(frame(1), mask(1))
    assert list(tmp_path.iterdir()) == []
