"""Make the rendered drive: a robot drives past boxes; camera, depth, labels, calibration and TF.

    python scripts/make_rendered_drive.py

writes test/data/rendered_drive/, a rosbag2 of which everything is known. The same library versions
give the same bytes.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from renderer import Box, Rendered, Scene, render
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from bisenet_ros.datasets import CAMVID
from bisenet_ros.errors import ArgumentError, BisenetError
from bisenet_ros.projection.calibration import Calibration
from bisenet_ros.projection.depth_images import encode_compressed
from bisenet_ros.projection.pose import Pose
from bisenet_ros.recordings.bag_qos import METADATA_VERSION, reliable_qos

IMAGE_TOPIC = "/camera/image_raw/compressed"
LABEL_TOPIC = "/camera/labels/compressed"
DEPTH_TOPIC = "/camera/depth/image_raw/compressedDepth"
INFO_TOPIC = "/camera/camera_info"
FRAME_ID = "camera_optical_frame"
GROUND_FRAME, ODOMETRY_FRAME = "base_footprint", "odom"
START_NS = 1_700_000_000 * 10**9
RATE, FRAMES = 10, 40
SPEED, TURN_RATE = 1.2, 0.06  # m/s, rad/s to the left
DEPTH_RANGE = 10.0  # metres; further is 0, as depth cameras have it
QUALITY = 90
CAMERA = Calibration(
    width=400,
    height=300,
    distortion_model="plumb_bob",
    d=(-0.12, 0.03, 0.0008, -0.0006, 0.0),
    k=(262.0, 0.0, 202.4, 0.0, 262.5, 147.8, 0.0, 0.0, 1.0),
    p=(248.0, 0.0, 202.4, 0.0, 0.0, 249.0, 147.8, 0.0, 0.0, 0.0, 1.0, 0.0),
)
MOUNTING = Pose.from_mounting(0.7, pitch=0.2, roll=0.01, yaw=-0.02, x=0.25, y=0.03)
CUSTOM = {"source": "scripts/make_rendered_drive.py", "licence": "Apache-2.0"}
_SKY, _BUILDING, _POLE, _ROAD, _PAVEMENT, _TREE, _SIGN, _FENCE, _CAR, _PEDESTRIAN, _ = range(11)


def street() -> Scene:
    """A road 3 m wide along x with pavement beside it, and what stands there."""
    paint = np.full((40, 120), _PAVEMENT, np.uint8)  # tiles of 0.25 m
    paint[14:26] = _ROAD
    paint[10:14, 50:58] = _ROAD  # a driveway
    boxes = (
        Box(3.2, 0.9, 0.5, 0.4, 0.5, _CAR, yaw=0.3),
        Box(4.6, -1.0, 0.3, 0.35, 1.6, _PEDESTRIAN, yaw=-0.2),
        Box(6.0, 0.55, 0.4, 0.4, 0.35, _CAR),
        Box(7.5, -1.9, 0.12, 0.12, 2.4, _POLE),
        Box(7.5, -1.9, 0.02, 0.5, 2.8, _SIGN),
        Box(5.2, 2.4, 0.3, 0.3, 2.2, _TREE),
        Box(9.5, 0.2, 0.6, 0.9, 0.8, _CAR, yaw=0.5),
        Box(8.0, -3.4, 9.0, 0.1, 0.9, _FENCE),
        Box(9.0, 4.6, 14.0, 0.6, 3.0, _BUILDING),
        Box(17.0, 0.0, 1.0, 14.0, 4.0, _BUILDING),
    )
    return Scene(paint, 0.25, (-2.0, -5.0), boxes, around=_PAVEMENT, sky=_SKY)


def robot_pose(index: int) -> tuple[float, float, float]:
    """Position and yaw of the robot in the odometry frame at frame ``index``: along an arc."""
    turned = TURN_RATE * index / RATE
    radius = SPEED / TURN_RATE
    return radius * math.sin(turned), radius * (1 - math.cos(turned)), turned


def camera_pose(index: int) -> Pose:
    """Of the optical frame in the odometry frame, whose z = 0 is the ground too."""
    x, y, yaw = robot_pose(index)
    cosine, sine = math.cos(yaw), math.sin(yaw)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    return Pose(turn @ MOUNTING.rotation, turn @ MOUNTING.translation + [x, y, 0])


def paint_picture(seen: Rendered, scene: Scene) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the classes' colours, grained and shaded; the grain sticks to things."""
    colours = np.array(CAMVID.colours, np.float64)[seen.labels] * 0.6 + 60
    place = np.nan_to_num(seen.points)
    grain = sum(grain_at(place, size) for size in (0.04, 0.15, 0.6))
    boxes = np.maximum(seen.things, 0)
    shade = np.where(seen.things >= 0, 0.85 + 0.25 * np.sin(boxes * 1.7 + place[..., 2]), 1.0)
    picture = (colours + 10 * grain[..., None]) * shade[..., None]
    picture[seen.things == -2] = CAMVID.colours[scene.sky]
    return np.clip(picture, 0, 255).astype(np.uint8)


def grain_at(place: np.ndarray, size: float) -> np.ndarray:
    """(…, 3) metres → (…) −1 to 1, one value for each cube of ``size`` metres."""
    cubes = np.floor(place / size).astype(np.int64).view(np.uint64)
    mixed = cubes @ np.array(
        [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64
    )
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return (mixed >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def depth_image(seen: Rendered) -> np.ndarray:
    """(H, W) uint16 millimetres along the optical axis, 0 beyond the range."""
    near = seen.depth <= DEPTH_RANGE
    return np.where(near, np.rint(1000 * np.where(near, seen.depth, 0)), 0).astype(np.uint16)


def stamp_ns(index: int) -> int:
    """Stamp of frame ``index`` in nanoseconds since 1970."""
    return START_NS + index * 10**9 // RATE


@dataclass(frozen=True)
class Entry:
    """A message to write: when, where, of which type, its content."""

    stamp: int
    topic: str
    type: str
    content: Any


class Messages:
    """Builds messages without ROS."""

    def __init__(self) -> None:
        self.store = get_typestore(Stores.ROS2_HUMBLE)
        self._types = self.store.types

    def header(self, stamp: int, frame: str) -> Any:
        """std_msgs/Header."""
        time = self._types["builtin_interfaces/msg/Time"](stamp // 10**9, stamp % 10**9)
        return self._types["std_msgs/msg/Header"](time, frame)

    def compressed(self, stamp: int, topic: str, form: str, data: bytes) -> Entry:
        """sensor_msgs/CompressedImage in the camera's frame."""
        kind = "sensor_msgs/msg/CompressedImage"
        content = np.frombuffer(data, np.uint8)
        message = self._types[kind](self.header(stamp, FRAME_ID), form, content)
        return Entry(stamp, topic, kind, message)

    def camera_info(self, stamp: int) -> Entry:
        """sensor_msgs/CameraInfo of the camera."""
        kind = "sensor_msgs/msg/CameraInfo"
        message = self._types[kind](
            header=self.header(stamp, FRAME_ID),
            height=CAMERA.height,
            width=CAMERA.width,
            distortion_model=CAMERA.distortion_model,
            d=np.array(CAMERA.d),
            k=np.array(CAMERA.k),
            r=np.array(CAMERA.r),
            p=np.array(CAMERA.p),
            binning_x=0,
            binning_y=0,
            roi=self._types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
        )
        return Entry(stamp, INFO_TOPIC, kind, message)

    def transforms(
        self, stamp: int, topic: str, frames: list[tuple[str, str, np.ndarray, np.ndarray]]
    ) -> Entry:
        """tf2_msgs/TFMessage of (parent, child, rotation (3, 3), translation (3,))."""
        names = ("Vector3", "Quaternion", "Transform", "TransformStamped")
        vector, quaternion, transform, stamped = (
            self._types[f"geometry_msgs/msg/{name}"] for name in names
        )
        filled = [
            stamped(
                self.header(stamp, parent),
                child,
                transform(vector(*map(float, place)), quaternion(*quaternion_of(rotation))),
            )
            for parent, child, rotation, place in frames
        ]
        kind = "tf2_msgs/msg/TFMessage"
        return Entry(stamp, topic, kind, self._types[kind](filled))


def quaternion_of(rotation: np.ndarray) -> tuple[float, float, float, float]:
    """(3, 3) rotation → x, y, z, w with w ≥ 0."""
    axis, _ = cv2.Rodrigues(rotation)
    angle = float(np.linalg.norm(axis))
    x, y, z = (axis[:, 0] / angle if angle else axis[:, 0]) * math.sin(angle / 2)
    return float(x), float(y), float(z), math.cos(angle / 2)


def entries(messages: Messages) -> Iterator[Entry]:
    """Every message of the drive in order."""
    scene = street()
    body = Pose.from_mounting(0.0).rotation  # of an optical frame that looks ahead
    mounted = [
        (GROUND_FRAME, "camera_link", MOUNTING.rotation @ body.T, MOUNTING.translation),
        ("camera_link", FRAME_ID, body, np.zeros(3)),
    ]
    yield messages.transforms(stamp_ns(0), "/tf_static", mounted)
    for index in range(FRAMES):
        stamp, pose = stamp_ns(index), camera_pose(index)
        x, y, yaw = robot_pose(index)
        heading, _ = cv2.Rodrigues(np.array([0.0, 0.0, yaw]))
        moved = [(ODOMETRY_FRAME, GROUND_FRAME, heading, np.array([x, y, 0.0]))]
        yield messages.transforms(stamp, "/tf", moved)
        yield messages.camera_info(stamp)
        seen = render(scene, CAMERA, pose.rotation, pose.translation)
        bgr = cv2.cvtColor(paint_picture(seen, scene), cv2.COLOR_RGB2BGR)
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        jpeg = cv2.imencode(".jpg", bgr, options)[1].tobytes()
        yield messages.compressed(stamp, IMAGE_TOPIC, "rgb8; jpeg compressed bgr8", jpeg)
        depth = encode_compressed(depth_image(seen))
        yield messages.compressed(stamp, DEPTH_TOPIC, "16UC1; compressedDepth png", depth)
        png = cv2.imencode(".png", seen.labels, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
        yield messages.compressed(stamp, LABEL_TOPIC, "mono8; png compressed mono8", png)


def write_bag(folder: Path) -> None:
    """Write the bag into ``folder``, which must not exist yet."""
    messages = Messages()
    with Writer(folder, version=METADATA_VERSION, storage_plugin=StoragePlugin.MCAP) as writer:
        for key, value in CUSTOM.items():
            writer.set_custom_data(key, value)
        connections: dict[str, Any] = {}
        for entry in entries(messages):
            if entry.topic not in connections:
                latched = entry.topic == "/tf_static"
                connections[entry.topic] = writer.add_connection(
                    entry.topic,
                    entry.type,
                    typestore=messages.store,
                    offered_qos_profiles=[reliable_qos(5, latched)],
                )
            data = messages.store.serialize_cdr(entry.content, entry.type)
            writer.write(connections[entry.topic], entry.stamp, data)


def replace_folder(made: Path, out: Path) -> None:
    """Put the finished bag in the place of an older one, and of nothing that is not a bag."""
    if out.exists():
        if not (out / "metadata.yaml").is_file():
            raise ArgumentError(f"{out} is not a bag; move it away or choose another --out")
        shutil.rmtree(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(str(made), str(out))


def main(arguments: list[str] | None = None) -> int:
    """Make the bag; return 0, or the exit code of the error that is printed."""
    parser = argparse.ArgumentParser(description="Make the rendered drive.")
    parser.add_argument("--out", type=Path, default=Path("test/data/rendered_drive"))
    given = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            made = Path(scratch) / given.out.name  # the mcap inside is named after its folder
            write_bag(made)
            replace_folder(made, given.out)
    except BisenetError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    size = sum(path.stat().st_size for path in given.out.iterdir())
    print(f"{given.out}: {FRAMES} frames, {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
