"""One camera's outputs over DDS: sizes, label maps, colours, runs, ground, and what stops them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from harness import own_domain
from nav_msgs.msg import OccupancyGrid
from rendered_camera import CAMERA, HEIGHT, PITCH, POSE, SIZE, camera_info
from rig import BASE, Rig, image, node_command, picture
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import String

from bisenet_ros.inference import OutputRequest, Segmenter
from bisenet_ros.label_map import LabelMap
from bisenet_ros.projection.calibration import Calibration
from bisenet_ros.projection.camera_model import CameraModel
from bisenet_ros.projection.costs import read_costs
from bisenet_ros.projection.ground import BASE as FOOT
from bisenet_ros.projection.ground import Grid, GroundTable
from bisenet_ros.projection.pose import Pose
from bisenet_ros.projection.rotation import rotate, undo
from bisenet_ros.projection.run_length import RUN
from bisenet_ros.ros.qos import latched

GRID = Grid(0.05, 0.5, 3.0, 1.0)
MOUNTED = {"camera_height": HEIGHT, "camera_pitch": PITCH}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files that the parameters name."""
    made = tmp_path_factory.mktemp("outputs")
    files = {
        "costs": {"costs": {"floor": 0, "wall": 100, "thing": 50}},
        "wrong_costs": {"costs": {"lawn": 0}},
        "costly": {"costs": {"floor": 101}},
        "group_costs": {"costs": {"free": 0, "standing": 100}},
        "map": {
            "classes": [
                {"id": 0, "name": "free", "color": [1, 2, 3], "from": ["floor"]},
                {"id": 4, "name": "standing", "color": [9, 8, 7], "from": ["wall"]},
            ]
        },
        "wrong_map": {"classes": [{"id": 0, "name": "x", "color": [0, 0, 0], "from": ["lawn"]}]},
        "twice": {"classes": [{"id": 0, "name": n, "color": [0, 0, 0]} for n in ("x", "y")]},
    }
    for name, content in files.items():
        (made / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return made


@pytest.fixture(scope="module")
def rig(tmp_path_factory, small_weights):
    # Costs that do not exist keep the ground back, nothing else.
    options = (f"weights:={small_weights}", "rate:=0.0", "ground_costs:=lawn")
    with own_domain() as domain:
        made = Rig(domain, tmp_path_factory.mktemp("rig"), *options, *BASE)
        yield made
        made.close()


@pytest.fixture(scope="module")
def camera(rig):
    return rig.advertise(Image, "/camera/image_raw")


@pytest.fixture(scope="module")
def calibration(rig):
    return rig.advertise(CameraInfo, "/camera/camera_info")


@pytest.fixture(scope="module")
def segmenter(small_weights):
    torch.set_num_threads(2)
    return Segmenter(small_weights, device="cpu", precision="fp32", engine="torch")


@pytest.fixture
def listen(rig):
    """Subscribe for one test; the node has found the subscriber once something arrives."""
    made = []

    def subscribe(kind: type, topic: str) -> list[Any]:
        found: list[Any] = []
        made.append(rig.peer.node.create_subscription(kind, f"/bisenet/{topic}", found.append, 10))
        return found

    yield subscribe
    for subscription in made:
        rig.peer.node.destroy_subscription(subscription)


def frames_until(rig: Rig, camera: Any, holds: Callable[[], Any], what: str) -> None:
    """Send images until ``holds()``."""

    def step() -> bool:
        rig.send(camera, image(5, rig.next_stamp(), SIZE))
        rig.peer.spin_for(0.05)
        return bool(holds())

    rig.peer.spin_until(step, what)


def of_one_frame(rig: Rig, camera: Any, *found: list[Any]) -> list[Any]:
    """Send images until all of these lists hold a message of the same new stamp; those messages."""
    for messages in found:
        messages.clear()

    def common() -> set[int]:
        stamps = [{m.header.stamp.sec for m in messages} for messages in (rig.masks, *found)]
        return set.intersection(*stamps)

    frames_until(rig, camera, common, "outputs of one frame")
    stamp = max(common())
    chosen = [next(m for m in x if m.header.stamp.sec == stamp) for x in (rig.masks, *found)]
    for message in chosen:
        assert message.header.stamp.nanosec == 7
    return chosen


def pixels(message: Image) -> np.ndarray:
    shape = (message.height, message.width, -1) if message.step > message.width else (-1,)
    flat = np.frombuffer(message.data, np.uint8)
    return flat.reshape(shape) if len(shape) > 1 else flat.reshape(message.height, message.width)


def paused(rig: Rig, words: str, camera: Any) -> dict[str, str]:
    """Send images until the camera's diagnostics say this; masks must keep coming."""
    found: dict[str, str] = {}

    def said() -> bool:
        found.update(rig.values())
        return words in found["message"]

    frames_until(rig, camera, said, f"{words!r} in diagnostics; last: {found.get('message')}")
    assert found["level"] == b"\x01"
    assert rig.process.output.count(words) == 1, rig.process.output
    return found


def test_outputs_of_half_the_size_and_their_calibration(
    rig, camera, calibration, listen, segmenter
):
    kinds = {"confidence": Image, "overlay": Image, "mask_color": Image, "mask_runs": Image}
    found = {name: listen(kind, name) for name, kind in kinds.items()}
    infos = listen(CameraInfo, "camera_info")
    rig.peer.spin_until(
        lambda: all(rig.peer.node.count_publishers(f"/bisenet/{name}") for name in found), "topics"
    )
    for scale in (0.5, 1.0):
        assert rig.set(output_scale=scale) == [(True, "")]
        calibration.publish(camera_info())
        outputs = of_one_frame(rig, camera, *found.values(), infos)
        mask, confidence, overlay, colours, runs, info = outputs
        expected = segmenter(
            [picture(5, SIZE)],
            request=OutputRequest(confidence=True, overlay=True, scale=scale),
        )[0]
        size = tuple(round(side * scale) for side in SIZE)
        for message in outputs:
            assert (message.height, message.width) == size
            assert message.header == mask.header and message.header.frame_id == "lens"
        assert mask.step == confidence.step == size[1] and len(mask.data) == size[0] * size[1]
        assert np.array_equal(pixels(mask), expected.mask)
        assert np.array_equal(pixels(confidence), expected.confidence)
        assert np.array_equal(pixels(overlay), expected.overlay)
        assert (colours.encoding, colours.step) == ("rgb8", 3 * size[1])
        assert np.array_equal(pixels(colours), segmenter.palette[expected.mask])
        run = np.frombuffer(runs.data, RUN)
        assert np.array_equal(np.repeat(run["value"], run["length"]), expected.mask.reshape(-1))
        # What a scaled calibration projects is where the full one does, in smaller pixels.
        here = Calibration.from_message(info)
        points = np.array([[0.1, 0.2, 1.0], [-0.4, 0.3, 2.0], [0, 0, 1]])
        full, small = (CameraModel(c).project(points) for c in (CAMERA, here))
        assert np.allclose(small, (full + 0.5) * scale - 0.5, atol=1e-6)
        assert here.d == CAMERA.d and here.r == CAMERA.r
        assert here.distortion_model == CAMERA.distortion_model
    assert rig.set(output_scale=0.3)[0][1].startswith("output_scale is 0.3; expected 1, 0.5")


def test_a_cropped_and_binned_calibration_is_worked_in(rig, camera, calibration, listen):
    infos = listen(CameraInfo, "camera_info")
    sent = camera_info(height=140, width=180, binning_x=2, binning_y=2)
    sent.roi.x_offset, sent.roi.y_offset, sent.roi.width, sent.roi.height = 10, 8, 160, 120
    whole = Calibration.from_message(sent)
    for scale in (1.0, 0.25):
        assert rig.set(output_scale=scale) == [(True, "")]
        calibration.publish(sent)
        _, info = of_one_frame(rig, camera, infos)
        here = Calibration.from_message(info)
        expected = whole if scale == 1 else whole.for_image(*SIZE).scaled(15, 20)
        assert here == expected
    assert rig.set(output_scale=1.0) == [(True, "")]


def test_a_label_map_groups_everything_while_running(rig, camera, listen, segmenter, folder):
    labels = rig.peer.collect(String, "/bisenet/labels", latched())
    grouping = LabelMap.read(folder / "map.yaml", segmenter.labels)
    found = [listen(Image, name) for name in ("confidence", "overlay", "mask_color")]
    assert rig.set(label_map=str(folder / "map.yaml"), overlay_alpha=1.0) == [(True, "")] * 2
    wanted = OutputRequest(confidence=True, overlay=True, alpha=1.0, label_map=grouping)
    expected = segmenter([picture(5, SIZE)], request=wanted)[0]
    mask, confidence, overlay, colours = of_one_frame(rig, camera, *found)
    assert np.array_equal(pixels(mask), expected.mask)
    assert set(np.unique(expected.mask)) == {0, 4, 255}
    assert np.array_equal(pixels(confidence), expected.confidence)
    assert not pixels(confidence)[expected.mask == 255].any()
    assert np.array_equal(pixels(overlay), expected.overlay)
    assert np.array_equal(pixels(colours), grouping.labels.palette()[expected.mask])
    rig.peer.spin_until(lambda: "standing" in labels[-1].data, "the groups' names")
    said = {c["id"]: c["name"] for c in json.loads(labels[-1].data)["classes"]}
    assert (said[0], said[4]) == ("free", "standing")
    values = rig.values("bisenet: model")
    assert values["num_classes"] == "5" and values["label_map"].endswith("map.yaml")
    for name, words in (
        ("wrong_map", "no class 'lawn'; its classes are floor, wall, thing"),
        ("twice", "is given twice"),
        ("missing", "is not a file"),
    ):
        ((accepted, reason),) = rig.set(label_map=str(folder / f"{name}.yaml"))
        assert not accepted and words in reason
    assert "nav2_ground" in rig.set(label_map="nav2_grund")[0][1]
    assert np.array_equal(pixels(of_one_frame(rig, camera)[0]), expected.mask)
    assert rig.set(label_map="", overlay_alpha=0.5) == [(True, "")] * 2
    rig.peer.spin_until(lambda: "thing" in labels[-1].data, "the network's names")


def test_a_rotated_camera(rig, camera, segmenter):
    for degrees in (90, 180, 270):
        assert rig.set(rotation=[degrees]) == [(True, "")]
        mask = rig.send(camera, image(5, rig.next_stamp(), SIZE))
        asked = OutputRequest(rotation=degrees)
        assert np.array_equal(pixels(mask), segmenter([picture(5, SIZE)], request=asked)[0].mask)
        upright = segmenter([np.ascontiguousarray(rotate(picture(5, SIZE), degrees))])[0].mask
        assert (pixels(mask) != undo(upright, degrees)).mean() < 0.05  # resampled once more
    ((accepted, reason),) = rig.set(rotation=[45])
    assert not accepted and "expected 0, 90, 180 or 270" in reason
    assert not rig.set(rotation=[0, 90])[0][0]
    assert rig.set(rotation=0) == [(True, "")]


def test_the_ground_and_everything_that_stops_it(
    rig, camera, calibration, listen, segmenter, folder
):
    """One story, as each step needs the one before: what is missing is named until nothing is."""
    grids, bases = listen(OccupancyGrid, "ground"), listen(PointCloud2, "ground_points")
    values = {"resolution": 0.05, "x_min": 0.5, "x_max": 3.0, "y_max": 1.0}
    rig.set(**{f"ground_{name}": value for name, value in values.items()})
    calibration.publish(camera_info(height=61))
    paused(rig, "describes images of 80×61 pixels, the image has 80×60", camera)
    calibration.publish(camera_info(k=[0.0] * 9))
    paused(rig, "K is all zeros: the camera is not calibrated", camera)
    calibration.publish(camera_info(distortion_model="thin_prism"))
    paused(rig, "distortion model is 'thin_prism'", camera)
    calibration.publish(camera_info())
    paused(rig, "camera_height is not set", camera)
    assert rig.set(camera_height=HEIGHT, camera_pitch=-1.2) == [(True, "")] * 2
    paused(rig, "'lawn' is not in config/costs, which has camvid, cityscapes", camera)
    ((accepted, reason),) = rig.set(ground_costs="")
    assert not accepted and "fits the classes floor, wall, thing; write one" in reason
    for name, words in (("wrong_costs", "no class 'lawn'"), ("costly", "expected a whole number")):
        ((accepted, reason),) = rig.set(ground_costs=str(folder / f"{name}.yaml"))
        assert not accepted and words in reason
    assert rig.set(ground_costs=str(folder / "costs.yaml")) == [(True, "")]
    paused(rig, "sees none of the ground grid", camera)
    assert rig.set(ground_pose="tf") == [(True, "")]
    paused(rig, "set ground_pose to parameters", camera)
    assert not grids and not bases
    assert rig.set(ground_pose="auto", camera_pitch=PITCH) == [(True, "")] * 2
    mask, grid, feet = of_one_frame(rig, camera, grids, bases)
    check_ground(mask, grid, feet, POSE, folder / "costs.yaml", segmenter.labels.names)
    found = rig.values()
    assert found["ground_pose"] == "parameters" and float(found["ground_pose_age_ms"]) == 0
    assert 0 < float(found["ground_known_share"]) <= float(found["ground_seen_share"]) <= 1
    assert float(found["ground_ms_p50"]) > 0 and int(found["ground_published"]) > 0
    assert "paused" not in found["message"]
    # The table is made anew when the camera moves by more than the tolerance, and only then.
    made = int(found["ground_tables_made"])
    assert rig.set(camera_pitch=PITCH + 0.001) == [(True, "")]
    of_one_frame(rig, camera, grids)
    assert int(rig.values()["ground_tables_made"]) == made
    assert rig.set(camera_pitch=PITCH + 0.1, label_map=str(folder / "map.yaml")) == [(True, "")] * 2
    paused(rig, "the mask has no class 'floor', 'thing', 'wall'", camera)
    assert rig.set(ground_costs=str(folder / "group_costs.yaml")) == [(True, "")]
    mask, grid, feet = of_one_frame(rig, camera, grids, bases)
    names = LabelMap.read(folder / "map.yaml", segmenter.labels).labels.names
    tilted = Pose.from_mounting(HEIGHT, PITCH + 0.1)
    check_ground(mask, grid, feet, tilted, folder / "group_costs.yaml", names)
    assert int(rig.values()["ground_tables_made"]) == made + 1
    ((accepted, reason),) = rig.set(ground_x_max=-5.0)
    assert not accepted and "expected at least one cell" in reason
    assert rig.set(label_map="", camera_height=0.0) == [(True, "")] * 2


def check_ground(mask, grid, feet, pose, costs, names) -> None:
    """Grid and bases are those of this mask, in the ground frame, with the layout of the types."""
    table = GroundTable(CameraModel(CAMERA), pose, GRID)
    expected = table.project(pixels(mask), read_costs(costs, names))
    for message in (grid, feet):
        assert message.header.stamp == mask.header.stamp
        assert message.header.frame_id == "base_footprint"
    info = grid.info
    assert (info.height, info.width) == GRID.shape == (40, 50)
    assert info.resolution == pytest.approx(0.05)
    assert (info.origin.position.x, info.origin.position.y) == pytest.approx((0.5, -1.0))
    assert info.origin.orientation.w == 1
    assert np.array_equal(np.array(grid.data, np.int8).reshape(40, 50), expected.costs)
    assert len(set(grid.data)) > 1
    assert [(f.name, f.offset, f.datatype) for f in feet.fields] == [
        *(("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("label", 12, 6))
    ]
    assert feet.height == 1 and feet.point_step == 16 and feet.row_step == 16 * feet.width
    assert np.array_equal(np.frombuffer(feet.data, FOOT), expected.bases)


def test_absurd_calibrations_pause_what_needs_them(rig, camera, calibration, listen):
    listen(OccupancyGrid, "ground")
    infos = listen(CameraInfo, "camera_info")
    random = np.random.default_rng(0)
    for model in ("plumb_bob", "rational_polynomial", "equidistant", "", "x"):
        for scale in (1e300, 1e-300, np.nan, np.inf, -1.0):
            count = int(random.integers(0, 15))
            message = camera_info(distortion_model=model, d=[scale] * count)
            message.k = [float(v) for v in random.normal(size=9) * scale]
            message.binning_x, message.roi.width = int(random.integers(0, 3)), count
            calibration.publish(message)
            rig.send(camera, image(5, rig.next_stamp(), SIZE))
    calibration.publish(camera_info())
    of_one_frame(rig, camera, infos)
    assert rig.values()["failed"] == "0"
    assert rig.values("bisenet: model")["callback_errors"] == "0"


def test_a_label_map_that_does_not_fit_stops_the_start(start, folder, small_weights):
    options = (f"weights:={small_weights}", f"label_map:={folder / 'wrong_map.yaml'}")
    process = start(node_command(*options, *BASE))
    assert process.wait() == 3
    assert "the network has no class 'lawn'; its classes are floor, wall, thing" in process.output
    assert "Traceback" not in process.output


def test_nothing_is_built_for_nobody(rig, camera):
    before = rig.values()
    for _ in range(3):
        rig.send(camera, image(5, rig.next_stamp(), SIZE))
    after = rig.values()
    for key in ("ground_published", "ground_tables_made", "points_published", "points_unpaired"):
        assert before[key] == after[key]
    assert "paused" not in after["message"]
