"""Rendered images with depth and calibration, as messages of a camera."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from bisenet_ros.projection.calibration import Calibration
from bisenet_ros.projection.depth_images import encode_compressed
from bisenet_ros.projection.pose import Pose
from bisenet_ros.ros.segmentation.camera_info import to_message

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from renderer import Box, Rendered, Scene, render  # noqa: E402

SIZE = (60, 80)
HEIGHT, PITCH = 0.6, 0.35
CAMERA = Calibration(
    width=80,
    height=60,
    distortion_model="plumb_bob",
    d=(-0.1, 0.02, 0.001, -0.002, 0.0),
    k=(50.0, 0.0, 40.2, 0.0, 51.0, 29.1, 0.0, 0.0, 1.0),
    p=(48.0, 0.0, 40.2, 0.0, 0.0, 49.0, 29.1, 0.0, 0.0, 0.0, 1.0, 0.0),
)
POSE = Pose.from_mounting(HEIGHT, pitch=PITCH)
PAINT = np.random.default_rng(0).integers(0, 2, (40, 40)).astype(np.uint8)
SCENE = Scene(PAINT, 0.25, (-1.0, -5.0), (Box(2.0, 0.3, 0.4, 0.5, 0.6, 2),), sky=2)


def seen() -> Rendered:
    """What the camera sees; depth ends at 20 m, as a depth camera's does."""
    everything = render(SCENE, CAMERA, POSE.rotation, POSE.translation)
    return replace(everything, depth=np.where(everything.depth < 20, everything.depth, np.inf))


def header(stamp: int, nanoseconds: int = 7, frame: str = "lens") -> Header:
    made = Header(frame_id=frame)
    made.stamp.sec, made.stamp.nanosec = stamp, nanoseconds
    return made


def camera_info(calibration: Calibration = CAMERA, **changes) -> CameraInfo:
    message = to_message(calibration)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def depth_image(metres: np.ndarray, stamp: Header, encoding: str = "16UC1") -> Image:
    """A raw depth image of (H, W) metres; what is not finite is 0 in millimetres."""
    kind = np.uint16 if encoding == "16UC1" else np.float32
    near = np.where(np.isfinite(metres), metres, 0) if kind is np.uint16 else metres
    pixels = np.rint(near * 1000).astype(kind) if kind is np.uint16 else near.astype(kind)
    message = Image(header=stamp, height=metres.shape[0], width=metres.shape[1])
    message.encoding, message.step = encoding, pixels.itemsize * metres.shape[1]
    message.data.frombytes(pixels.tobytes())
    return message


def compressed_depth(metres: np.ndarray, stamp: Header) -> CompressedImage:
    """The same as image_transport's compressedDepth."""
    near = np.rint(np.where(np.isfinite(metres), metres, 0) * 1000).astype(np.uint16)
    message = CompressedImage(header=stamp, format="16UC1; compressedDepth png")
    message.data.frombytes(encode_compressed(near))
    return message
