"""The rendered drive that is shipped: what it holds, that it fits together, how it is made."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from bisenet_ros.projection.calibration import Calibration
from bisenet_ros.projection.camera_model import CameraModel
from bisenet_ros.projection.costs import read_costs
from bisenet_ros.projection.depth_images import decode_compressed
from bisenet_ros.projection.ground import Grid, GroundTable
from bisenet_ros.projection.points import LabelledPoints
from bisenet_ros.projection.pose import Pose
from bisenet_ros.recordings.labelled_bag import Drive
from bisenet_ros.recordings.rosbag import Bag

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "test" / "data" / "rendered_drive"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT / "scripts"))  # for the renderer, as when it is run
    spec = importlib.util.spec_from_file_location(
        "make_rendered_drive", ROOT / "scripts" / "make_rendered_drive.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]
    sys.path.remove(str(ROOT / "scripts"))


@pytest.fixture(scope="module")
def drive() -> dict[str, list[Any]]:
    """Messages by topic."""
    messages: dict[str, list[Any]] = {}
    with Bag(SHIPPED) as bag:
        for message in bag.messages(bag.topics):
            assert message.stamp_ns == message.log_ns
            messages.setdefault(message.topic.name, []).append(message.content)
    return messages


def stamp(message: Any) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def poses(transforms: Any) -> dict[tuple[str, str], Pose]:
    found = {}
    for one in transforms.transforms:
        place, turn = one.transform.translation, one.transform.rotation
        found[one.header.frame_id, one.child_frame_id] = Pose.from_transform(
            (place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w)
        )
    return found


def mounting(drive: dict[str, list[Any]]) -> Pose:
    """Of the camera over the ground, as TF chains it."""
    links = poses(drive["/tf_static"][0])
    link = links["base_footprint", "camera_link"]
    optical = links["camera_link", "camera_optical_frame"]
    return Pose(link.rotation @ optical.rotation, link.to_ground(optical.translation))


def test_it_is_small_and_complete(script: ModuleType, drive: dict[str, list[Any]]):
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 3_000_000
    assert {topic: len(messages) for topic, messages in drive.items()} == {
        script.IMAGE_TOPIC: script.FRAMES,
        script.LABEL_TOPIC: script.FRAMES,
        script.DEPTH_TOPIC: script.FRAMES,
        script.INFO_TOPIC: script.FRAMES,
        "/tf": script.FRAMES,
        "/tf_static": 1,
    }
    for index in range(script.FRAMES):
        of_frame = [
            drive[topic][index]
            for topic in (
                *(script.IMAGE_TOPIC, script.LABEL_TOPIC),
                *(script.DEPTH_TOPIC, script.INFO_TOPIC),
            )
        ]
        assert {stamp(message) for message in of_frame} == {script.stamp_ns(index)}
        assert {message.header.frame_id for message in of_frame} == {"camera_optical_frame"}
        assert stamp(drive["/tf"][index].transforms[0]) == script.stamp_ns(index)
    assert "durability: 1" in (SHIPPED / "metadata.yaml").read_text()  # transient local


def test_depth_labels_and_tf_agree(script: ModuleType, drive: dict[str, list[Any]]):
    """Points of the depth image, brought to the odometry frame, have their place in the scene."""
    scene = script.street()
    camera = CameraModel(Calibration.from_message(drive[script.INFO_TOPIC][0]).for_image(300, 400))
    maker, mounted = LabelledPoints(camera, 300, 400), mounting(drive)
    for index in (0, 17, script.FRAMES - 1):
        form = drive[script.DEPTH_TOPIC][index].format
        depth = decode_compressed(form, drive[script.DEPTH_TOPIC][index].data)
        labels = cv2.imdecode(drive[script.LABEL_TOPIC][index].data, cv2.IMREAD_UNCHANGED)
        image = cv2.imdecode(drive[script.IMAGE_TOPIC][index].data, cv2.IMREAD_COLOR)
        assert depth.shape == labels.shape == image.shape[:2] == (300, 400)
        cloud = maker.make(depth, labels, labels, image)
        robot = poses(drive["/tf"][index])["odom", "base_footprint"]
        places = np.stack([cloud[axis] for axis in "xyz"], -1).astype(float)
        places = robot.to_ground(mounted.to_ground(places))[depth > 0]
        seen = labels[depth > 0]
        low = places[:, 2] < 0.01
        assert low.mean() > 0.3
        x, y = places[low, 0], places[low, 1]
        painted = scene.ground_at(x, y)
        beside = np.any([box.covers(x, y, 0.05) for box in scene.boxes], axis=0)
        assert (painted == seen[low])[~beside].mean() > 0.99
        standing = places[places[:, 2] > 0.05]
        at_a_box = np.any(
            [box.covers(standing[:, 0], standing[:, 1], 0.02) for box in scene.boxes], axis=0
        )
        assert at_a_box.all()


def test_the_ground_grid_knows_its_boxes(script: ModuleType, drive: dict[str, list[Any]]):
    scene, names = script.street(), script.CAMVID.names
    camera = CameraModel(Calibration.from_message(drive[script.INFO_TOPIC][0]).for_image(300, 400))
    table = GroundTable(camera, mounting(drive), Grid())
    costs = read_costs(ROOT / "config" / "costs" / "camvid.yaml", names)
    met = 0
    for index in range(0, script.FRAMES, 5):
        labels = cv2.imdecode(drive[script.LABEL_TOPIC][index].data, cv2.IMREAD_UNCHANGED)
        bases = table.project(labels, costs).bases
        robot = poses(drive["/tf"][index])["odom", "base_footprint"]
        places = robot.to_ground(np.stack([bases["x"], bases["y"], bases["z"]], -1).astype(float))
        x, y = places[:, 0], places[:, 1]
        # Feet out of the image are reported where the obstacle comes into view.
        known = np.hypot(bases["x"], bases["y"]) > 1.5
        near = np.any([box.covers(x, y, 0.06) for box in scene.boxes], axis=0)
        assert near[known].mean() > 0.9 if known.any() else True
        met += len(bases)
    assert met > 200


def test_the_demo_can_play_and_score_it(script: ModuleType, drive: dict[str, list[Any]]):
    """Its topics are the demo's, and each image has its labels."""
    images, labels = "/camera/image_raw/compressed", "/camera/labels/compressed"
    labelled = Drive.open(SHIPPED, images, labels)
    assert labelled.frames == script.FRAMES
    for number, (image, truth) in labelled.read({0, 20}).items():
        assert image.shape == (300, 400, 3)
        sent = cv2.imdecode(drive[labels][number].data, cv2.IMREAD_UNCHANGED)
        assert truth is not None and np.array_equal(truth, sent)


def test_it_is_made_by_the_script(
    script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    """The same bytes with the same libraries; the same labels and depth with any."""
    monkeypatch.setattr(script, "FRAMES", 3)
    out, written = tmp_path / "rendered_drive", []
    for _ in range(2):  # the second time in the place of the first
        assert script.main(["--out", str(out)]) == 0
        written.append([path.read_bytes() for path in sorted(out.iterdir())])
    assert written[0] == written[1]
    with Bag(out) as made, Bag(SHIPPED) as shipped:
        pairs = zip(made.messages(made.topics), shipped.messages(shipped.topics), strict=False)
        compared = 0
        for one, other in pairs:
            assert (one.topic.name, one.stamp_ns) == (other.topic.name, other.stamp_ns)
            if one.topic.name in (script.LABEL_TOPIC, script.DEPTH_TOPIC):
                start = 12 if one.topic.name == script.DEPTH_TOPIC else 0
                pixels = [
                    cv2.imdecode(message.content.data[start:], cv2.IMREAD_UNCHANGED)
                    for message in (one, other)
                ]
                assert (pixels[0] != pixels[1]).mean() < 1e-3
                compared += 1
        assert compared == 6
    (tmp_path / "mine").mkdir()
    assert script.main(["--out", str(tmp_path / "mine")]) == 2
    assert "is not a bag" in capsys.readouterr().err
