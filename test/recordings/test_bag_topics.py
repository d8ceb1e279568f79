"""Which topics are taken for the camera and its labels, and what is said where that is unclear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bag_formats import Note, compressed, raw, text, write_mcap

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.bag_files import open_bag
from bisenet_ros.recordings.bag_topics import bag_topics, find_images, find_labels

COLOUR = np.zeros((4, 6, 3), np.uint8)
GREY = np.zeros((4, 6), np.uint8)
DEEP = np.zeros((4, 6), np.uint16)


def several(topic: str, count: int = 3) -> list[Note]:
    """``count`` images of a topic at 10 Hz; the name says of which kind."""
    found = []
    for index in range(count):
        stamp = 10**9 + index * 10**8
        if topic.endswith("/compressed"):
            found.append(compressed(topic, stamp, COLOUR, ".jpg"))
        elif "depth" in topic or "16" in topic:
            found.append(raw(topic, stamp, DEEP, "16UC1"))
        elif "label" in topic or "seg" in topic:
            found.append(raw(topic, stamp, GREY, "mono8"))
        else:
            found.append(raw(topic, stamp, COLOUR, "bgr8"))
    return found


def chosen(folder: Path, *topics: str, image: str | None = None, label: str | None = None):
    """Names of the camera and of the labels found among the topics."""
    path = folder / "a.mcap"
    written = [note for topic in topics for note in several(topic)]
    storage = open_bag(write_mcap(path, [*written, text("/note", 10**9)]))
    images = find_images(storage, path, image)
    labels = find_labels(storage, path, images, label)
    return images.name, labels.name if labels else None


@pytest.mark.parametrize(
    ("topics", "camera", "labels"),
    [
        (["/front/image_raw"], "/front/image_raw", None),
        (["/front/image_raw/compressed"], "/front/image_raw/compressed", None),
        # One camera recorded both ways is one camera; raw is without loss.
        (["/a/image", "/a/image/compressed"], "/a/image", None),
        (["/camera/image_raw", "/camera/labels"], "/camera/image_raw", "/camera/labels"),
        (["/rgb", "/gt/semantic_segmentation/image"], "/rgb", "/gt/semantic_segmentation/image"),
        (["/rgb", "/label_image"], "/rgb", "/label_image"),
        # Outputs of a network are neither.
        (["/rgb", "/bisenet/mask", "/bisenet/overlay", "/bisenet/confidence"], "/rgb", None),
        (["/rgb", "/bisenet/mask_color", "/bisenet/overlay/compressed"], "/rgb", None),
        (["/color/image_raw", "/depth/image_rect_raw"], "/color/image_raw", None),
        (["/color/image", "/aligned_depth_to_color/image_raw"], "/color/image", None),
        (["/cam/rgb", "/cam/range16"], "/cam/rgb", None),  # told by what it holds
    ],
)
def test_the_camera_and_its_labels_are_found(
    tmp_path: Path, topics: list[str], camera: str, labels: str | None
):
    assert chosen(tmp_path, *topics) == (camera, labels)


def refusal(folder: Path, *topics: str, **names: str) -> str:
    with pytest.raises(DataError) as error:
        chosen(folder, *topics, **names)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_several_candidates_are_listed_with_type_count_and_rate(tmp_path: Path):
    said = refusal(tmp_path, "/left/image_raw", "/right/image_raw/compressed")
    assert "several image topics; choose one with --image-topic: " in said
    assert "/left/image_raw (sensor_msgs/msg/Image, 3 messages, 10.0 Hz), /right/image" in said
    assert "/right/image_raw/compressed (sensor_msgs/msg/CompressedImage, 3 messages" in said
    said = refusal(tmp_path, "/rgb", "/front/labels", "/rear/labels")
    assert "several label topics; choose one with --label-topic: /front/labels (sens" in said


def test_topics_can_be_named(tmp_path: Path):
    both = ("/left/image_raw", "/right/image_raw/compressed")
    assert chosen(tmp_path, *both, image="/left/image_raw") == ("/left/image_raw", None)
    right = "/right/image_raw"  # as image_transport calls it
    assert chosen(tmp_path, *both, image=right) == (f"{right}/compressed", None)
    assert chosen(tmp_path, *both, image=right, label=both[0])[1] == both[0]
    assert "no topic /up; its topics: /left" in refusal(tmp_path, *both, image="/up")
    assert "no topic /up" in refusal(tmp_path, "/rgb", label="/up")
    said = refusal(tmp_path, *both, image="/note")
    assert "/note (std_msgs/msg/String, 1 message, 0.0 Hz)" in said
    assert "does not carry images" in said


def test_a_bag_without_a_camera_says_what_it_holds(tmp_path: Path):
    assert "holds no images; its topics: /note (std_msgs" in refusal(tmp_path)
    said = refusal(tmp_path, "/camera/labels", "/bisenet/mask")
    assert "no topic that looks like a camera's" in said
    assert "/bisenet/mask (" in said


def test_rates_are_over_the_whole_bag(tmp_path: Path):
    written = [*several("/a", 11), *several("/b", 6), text("/note", 10**9)]
    found = bag_topics(open_bag(write_mcap(tmp_path / "a.mcap", written)))
    rates = {topic.name: topic.rate_hz for topic in found}
    assert rates == pytest.approx({"/a": 10.0, "/b": 5.0, "/note": 0.0})
    assert [topic.readable for topic in found] == [True, True, False]
