"""What the camera player publishes: frames of a source as image messages."""

from __future__ import annotations

import importlib
from typing import Any

import cv2
import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.codec import decode
from bisenet_ros.recordings.rosbag import COMPRESSED, Message, Topic
from bisenet_ros.ros import messages

JPEG_QUALITY = 90  # of images the player compresses itself
_ENCODINGS = {
    ("uint8", 1): "mono8",
    ("uint8", 3): "bgr8",
    ("uint8", 4): "bgra8",
    ("uint16", 1): "mono16",
}


def message_class(topic: Topic) -> Any:
    """The topic's message class; DataError if its package is not installed."""
    package, _, name = topic.type.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise DataError(
            f"topic {topic.name} has type {topic.type}, which is not installed; "
            f"install the ROS package {package} or omit the topic"
        ) from error


def recorded(message: Message, kind: Any) -> Any:
    """The bag's message as a ROS message of class ``kind``; DataError if its bytes are broken."""
    try:
        return deserialize_message(message.cdr, kind)
    except Exception as error:  # the C type support raises its own type
        reason = " ".join(str(error).split())
        raise DataError(f"a message on {message.topic.name} is broken ({reason})") from error


def image_message(picture: Message | np.ndarray, compressed: bool) -> Image | CompressedImage:
    """A frame as a message to publish; the header of a bag's message is kept.

    Args:
        picture: a bag's image message, raw or compressed, or (H, W, 3) uint8 BGR.
        compressed: whether to return a CompressedImage.

    Raises:
        DataError: the frame cannot be decoded.
    """
    if isinstance(picture, np.ndarray):
        return _jpeg(picture) if compressed else _raw(picture)
    stored_compressed = picture.topic.type == COMPRESSED
    message = recorded(picture, CompressedImage if stored_compressed else Image)
    if stored_compressed == compressed:
        return message
    converted = _jpeg(_bgr(message)) if compressed else _raw(decode(message.data))
    converted.header = message.header
    return converted


def describe(message: Image | CompressedImage) -> dict[str, Any]:
    """Width and height in pixels (None if it cannot be decoded) and encoding or format."""
    if isinstance(message, Image):
        return {"width": message.width, "height": message.height, "encoding": message.encoding}
    try:
        height, width = decode(message.data).shape[:2]
    except DataError:
        return {"width": None, "height": None, "encoding": message.format}
    return {"width": width, "height": height, "encoding": message.format}


def _raw(pixels: np.ndarray) -> Image:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    encoding = _ENCODINGS.get((pixels.dtype.name, channels))
    if encoding is None:
        raise DataError(f"an image of {channels} × {pixels.dtype} has no ROS encoding")
    return messages.to_image(Header(), pixels, encoding)


def _jpeg(bgr: np.ndarray) -> CompressedImage:
    return messages.to_jpeg(Header(), bgr, JPEG_QUALITY, "bgr")


def _bgr(message: Image) -> np.ndarray:
    pixels = messages.to_pixels(message)
    if pixels.order == "bgr":
        return pixels.image
    return cv2.cvtColor(pixels.image, cv2.COLOR_RGB2BGR)
