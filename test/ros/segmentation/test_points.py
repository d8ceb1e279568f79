"""Points over DDS: two cameras with depth, raw and compressed, and a costmap layer as reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from harness import own_domain
from rendered_camera import (
    POSE,
    SIZE,
    camera_info,
    compressed_depth,
    depth_image,
    header,
    seen,
)
from rig import BASE, Rig, image, picture, status_values
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import String

from bisenet_ros.inference import OutputRequest, Segmenter
from bisenet_ros.projection.points import POINT
from bisenet_ros.ros.qos import latched

TOPICS = ("image_topics:=['/front/image_raw', '/rear/image_raw']",)
TOPICS += ("depth_topic:=['/front/depth/image_raw', '/rear/depth/image_raw/compressedDepth']",)
FIELDS = [("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("rgb", 12, 7), ("label", 16, 6)]
FIELDS += [("confidence", 20, 7)]


@pytest.fixture(scope="module")
def rig(tmp_path_factory, small_weights):
    # A rotation that does not exist must not keep the masks back.
    options = (*TOPICS, "rotation:=[0, 45]", "rate:=0.0", "ground_pose:=parameters")
    with own_domain() as domain:
        made = Rig(
            domain, tmp_path_factory.mktemp("rig"), f"weights:={small_weights}", *options, *BASE
        )
        yield made
        made.close()


class Camera:
    """One of the node's cameras: what it is sent, and what it answers."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.rig, self.name = rig, name
        self.images = rig.advertise(Image, f"/{name}/image_raw")
        self.infos = rig.advertise(CameraInfo, f"/{name}/camera_info")
        self.masks = rig.peer.collect(Image, f"/bisenet/{name}/mask")
        self.confidences = rig.peer.collect(Image, f"/bisenet/{name}/confidence")
        self.clouds = rig.peer.collect(PointCloud2, f"/bisenet/{name}/points")
        compressed = name == "rear"
        topic = f"/{name}/depth/image_raw" + ("/compressedDepth" if compressed else "")
        # Only now: without subscribers of the points the node takes no depth.
        assert rig.peer.node.count_subscribers(topic) == 0
        self.depths = rig.advertise(CompressedImage if compressed else Image, topic)
        rig.peer.spin_until(
            lambda: rig.peer.node.count_publishers(f"/bisenet/{name}/points"), "points"
        )

    def send(self, depth: Callable[[Any], Any] | None, late: bool = False) -> int:
        """An image and the depth made for its header, in either order; returns the stamp."""
        stamp = self.rig.next_stamp()
        messages = [(self.images, image(5, stamp, SIZE))]
        if depth is not None:
            messages.append((self.depths, depth(header(stamp))))
        for publisher, message in messages if late else reversed(messages):
            publisher.publish(message)
            if late:
                self.rig.peer.spin_until(lambda: _stamped(self.masks, stamp), "the mask")
        return stamp

    def cloud(self, depth: Callable[[Any], Any], late: bool = False) -> tuple[Any, ...]:
        """Mask, confidence and points of one frame."""

        def step() -> bool:
            stamp = self.send(depth, late)
            self.rig.peer.spin_until(lambda: _stamped(self.masks, stamp), "the mask")
            self.rig.peer.spin_for(0.1)
            return bool(_stamped(self.clouds, stamp) and _stamped(self.confidences, stamp))

        self.rig.peer.spin_until(step, "points")
        stamp = self.rig.stamp
        return tuple(_stamped(x, stamp) for x in (self.masks, self.confidences, self.clouds))

    def paused(self, depth: Callable[[Any], Any] | None, words: str) -> dict[str, str]:
        """Send until diagnostics say this; the mask comes, the points do not."""
        self.clouds.clear()

        def said() -> bool:
            stamp = self.send(depth)
            self.rig.peer.spin_until(lambda: _stamped(self.masks, stamp), "the mask")
            self.rig.peer.spin_for(0.1)
            reports = self.rig.reports[-1:]
            return any(words in status_values(r, f"camera {self.name}")["message"] for r in reports)

        self.rig.peer.spin_until(said, f"{words!r} in diagnostics")
        assert self.rig.process.output.count(words) == 1
        seen_until_then = len(self.clouds)
        self.send(depth)
        self.rig.peer.spin_for(0.2)
        assert len(self.clouds) == seen_until_then
        return self.rig.values(f"camera {self.name}")


def _stamped(messages: list[Any], stamp: int) -> Any:
    return next((m for m in messages if m.header.stamp.sec == stamp), None)


@pytest.fixture(scope="module")
def front(rig):
    return Camera(rig, "front")


@pytest.fixture(scope="module")
def rear(rig):
    return Camera(rig, "rear")


@pytest.fixture(scope="module")
def scene():
    return seen()


@pytest.fixture(scope="module")
def result(small_weights):
    torch.set_num_threads(2)
    segmenter = Segmenter(small_weights, device="cpu", precision="fp32", engine="torch")
    return segmenter([picture(5, SIZE)], request=OutputRequest(confidence=True))[0]


def points_of(cloud: PointCloud2) -> np.ndarray:
    """(H, W) of POINT, after a look at what the message says of itself."""
    assert [(f.name, f.offset, f.datatype) for f in cloud.fields] == FIELDS
    assert all(f.count == 1 for f in cloud.fields)
    assert (cloud.point_step, cloud.row_step) == (24, 24 * cloud.width)
    assert not cloud.is_dense and not cloud.is_bigendian
    return np.frombuffer(cloud.data, POINT).reshape(cloud.height, cloud.width)


def check_cloud(outputs: tuple[Any, ...], scene, result, tolerance: float = 1e-3) -> np.ndarray:
    """Labels, confidence and colours are the mask's and the image's, places the scene's."""
    mask, confidence, cloud = outputs
    assert mask.header == confidence.header == cloud.header and cloud.header.frame_id == "lens"
    assert (cloud.height, cloud.width) == (mask.height, mask.width) == SIZE
    points = points_of(cloud)
    assert np.array_equal(points["label"].reshape(-1), np.frombuffer(mask.data, np.uint8))
    certain = np.frombuffer(confidence.data, np.uint8).reshape(SIZE)
    assert np.allclose(points["confidence"], certain / 255, atol=1e-6)
    assert (certain == result.confidence).mean() > 0.98
    packed = points["rgb"].view(np.uint32)
    colours = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], -1)
    assert np.array_equal(colours, picture(5, SIZE))
    places = np.stack([points[axis] for axis in "xyz"], -1).astype(float)
    there = np.isfinite(scene.depth)
    assert np.isnan(places[~there]).all() and there.mean() > 0.3
    off = np.linalg.norm(POSE.to_ground(places) - scene.points, axis=-1)[there]
    assert (off <= tolerance + 1e-3 * np.linalg.norm(places, axis=-1)[there]).all()
    return points


def test_without_calibration_there_are_masks_only(front):
    front.paused(lambda stamp: depth_image(seen().depth, stamp), "no camera_info on /front")


def test_points_are_where_the_scene_is(front, scene, result):
    front.infos.publish(camera_info())
    check_cloud(front.cloud(lambda h: depth_image(scene.depth, h)), scene, result)
    # In metres, and with values that are no distance.
    broken = np.where(np.isfinite(scene.depth), scene.depth, np.nan)
    broken[:4, :4] = [np.nan, np.inf, 0, -1]
    points = check_cloud(
        front.cloud(lambda h: depth_image(broken, h, "32FC1"), late=True),
        type(scene)(scene.labels, np.where(broken > 0, broken, np.inf), scene.points, scene.things),
        result,
    )
    assert np.isnan(points["z"][:4, :4]).all()


def test_compressed_depth_of_the_other_camera(rear, scene, result):
    rear.infos.publish(camera_info())
    check_cloud(rear.cloud(lambda h: compressed_depth(scene.depth, h)), scene, result)


def test_depth_of_another_size_is_sampled(front, scene):
    mask, _, cloud = front.cloud(lambda h: depth_image(scene.depth[::2, ::2], h))
    points = points_of(cloud)
    assert (cloud.height, cloud.width) == SIZE
    nearest = scene.depth[::2, ::2].repeat(2, 0).repeat(2, 1)
    assert np.allclose(
        points["z"], np.where(np.isfinite(nearest), nearest, np.nan), atol=6e-4, equal_nan=True
    )


def test_depth_that_does_not_fit_pauses_the_points_alone(front, scene):
    depth, good = scene.depth, lambda h: depth_image(scene.depth, h)
    front.paused(lambda h: depth_image(depth[:, :40], h), "the depth image has 40×60 pixels")
    front.paused(lambda h: image(1, h.stamp.sec, SIZE), "depth image is 'rgb8'; expected 16UC1")
    front.paused(lambda h: depth_image(depth, header(h.stamp.sec, frame="other")), "frame 'other'")
    short = depth_image(depth, header(1))
    short.data = short.data[:100]

    def broken(h: Any) -> Image:
        short.header = h
        return short

    front.paused(broken, "has 100 bytes")
    front.cloud(good)
    before = int(front.rig.values("camera front")["points_unpaired"])
    found = front.paused(
        lambda h: depth_image(depth, header(h.stamp.sec, 500_000_000)), "within 0.02 s"
    )
    assert int(found["points_unpaired"]) > before
    assert front.rig.set(depth_max_dt=0.6) == [(True, "")]
    front.cloud(lambda h: depth_image(depth, header(h.stamp.sec, 500_000_000)))
    assert front.rig.set(depth_max_dt=0.02) == [(True, "")]
    front.cloud(good)
    values = front.rig.values("camera front")
    assert "paused" not in values["message"] and float(values["points_ms_p50"]) > 0


def test_a_rotation_that_does_not_exist_is_reported_and_none_applied(rig, rear, result):
    values = rig.values("camera rear")
    assert "rotation is 45" in values["message"] and values["rotation"] == "0"
    assert rig.process.output.count("rotation is 45") == 1
    mask = np.frombuffer(rear.masks[-1].data, np.uint8).reshape(SIZE)
    assert (mask == result.mask).mean() > 0.98
    assert rig.set(rotation=[0, 180]) == [(True, "")]
    assert rig.values("camera rear")["rotation"] == "180"
    assert "rotation" not in rig.values("camera front")["message"]
    assert rig.set(rotation=[0, 0]) == [(True, "")]


def test_a_costmap_layer_reads_the_right_costs(rig, front, scene):
    """As Nav2's layer reads: data[v*width+u], names by id, the surest pixel of a tile counts."""
    labels = rig.peer.collect(String, "/bisenet/labels", latched())
    rig.peer.spin_until(lambda: labels, "labels")
    assert rig.set(confidence_threshold=0.7) == [(True, "")]
    outputs = front.cloud(lambda h: depth_image(scene.depth, h))
    assert rig.set(confidence_threshold=0.0) == [(True, "")]
    names = {c["id"]: c["name"] for c in json.loads(labels[-1].data)["classes"]}
    costs = {"floor": 0, "wall": 254, "thing": 100}
    found = {
        tile: costs[names[best]] for tile, best in layer_tiles(*outputs).items() if best in names
    }
    mask, confidence, _ = (np.frombuffer(m.data, np.uint8) for m in outputs)
    assert (mask == 255).any() and not confidence[mask == 255].any()
    expected: dict[tuple[int, int], tuple[int, int]] = {}
    tiles = np.floor(scene.points[..., :2].reshape(-1, 2) / 0.1)
    for index in np.flatnonzero(np.isfinite(tiles[:, 0]) & (mask != 255)):
        key = int(tiles[index, 0]), int(tiles[index, 1])
        if key not in expected or confidence[index] > expected[key][0]:
            expected[key] = confidence[index], costs[names[mask[index]]]
    shared = found.keys() & expected.keys()
    # Millimetres may carry a point over a tile's edge.
    assert len(shared) > 0.95 * max(len(found), len(expected)) > 100
    same = [found[key] == expected[key][1] for key in shared]
    assert np.mean(same) > 0.97


def layer_tiles(mask: Image, confidence: Image, cloud: PointCloud2) -> dict[tuple[int, int], int]:
    """The class id of each 10 cm tile of the ground frame, by the rules of the layer."""
    best: dict[tuple[int, int], tuple[int, int]] = {}
    points = np.frombuffer(cloud.data, np.float32).reshape(-1, cloud.point_step // 4)
    for v in range(mask.height):
        for u in range(mask.width):
            at = v * mask.width + u
            if not np.isfinite(points[at, 0]):
                continue
            x, y, _ = POSE.to_ground(points[at, :3].astype(float))
            key = int(np.floor(x / 0.1)), int(np.floor(y / 0.1))
            sure = confidence.data[at]
            if key not in best or sure > best[key][0]:
                best[key] = sure, mask.data[at]
    return {key: label for key, (_, label) in best.items()}
