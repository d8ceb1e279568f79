"""ROS messages ↔ pixels."""

from __future__ import annotations

from array import array

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from bisenet_ros.inference.image_encodings import (
    Pixels,
    check_compressed,
    check_raw,
    from_compressed,
    from_raw,
)
from bisenet_ros.projection.run_length import encode_runs
from bisenet_ros.recordings.codec import encode_jpeg


def check(message: Image | CompressedImage) -> None:
    """Raise ``DataError`` with the reason unless the message can be an image; cheap."""
    if isinstance(message, CompressedImage):
        check_compressed(message.data)
        return
    check_raw(message.encoding, message.height, message.width, message.step, len(message.data))


def to_pixels(message: Image | CompressedImage) -> Pixels:
    """The message's pixels, (H, W, 3) uint8: a view of its data where the encoding allows.

    Raises:
        DataError: the message is not a valid image; the text gives the reason.
    """
    if isinstance(message, CompressedImage):
        return from_compressed(message.data)
    return from_raw(
        message.data,
        message.encoding,
        message.height,
        message.width,
        message.step,
        bool(message.is_bigendian),
    )


def to_image(header: Header, pixels: np.ndarray, encoding: str) -> Image:
    """An Image of (H, W) or (H, W, channels) pixels, uint8 or uint16, with a camera's header."""
    packed = np.ascontiguousarray(pixels)
    message = Image()
    message.header = header
    message.height, message.width = packed.shape[:2]
    message.encoding = encoding
    message.step = packed.nbytes // message.height  # strides of a single row may be anything
    message.data = to_bytes(packed)
    return message


def to_runs(header: Header, mask: np.ndarray) -> Image:
    """(H, W) uint8 ids as Autoware's run-length bytes, an Image of the mask's size."""
    runs = encode_runs(mask).view(np.uint8)
    message = Image()
    message.header = header
    message.height, message.width = mask.shape
    message.encoding, message.step = "mono8", mask.shape[1]
    message.data = to_bytes(runs)
    return message


def to_jpeg(
    header: Header, pixels: np.ndarray, quality: int, order: str = "rgb"
) -> CompressedImage:
    """A JPEG of (H, W, 3) uint8 pixels, labelled as image_transport labels it."""
    message = CompressedImage()
    message.header = header
    message.format = f"{order}8; jpeg compressed bgr8"
    message.data = array("B", encode_jpeg(pixels, quality, order))
    return message


def stamp_ns(stamp: Time) -> int:
    """A stamp in nanoseconds.

    ``rclpy.time.Time.from_msg`` raises on negative seconds, which a message can carry.
    """
    return stamp.sec * 10**9 + stamp.nanosec


def to_stamp(nanoseconds: int) -> Time:
    """Nanoseconds as a stamp."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return Time(sec=seconds, nanosec=rest)


def to_bytes(pixels: np.ndarray) -> array:
    """Packed pixels as an ``array('B')``, which messages accept without checking each byte."""
    data = array("B")
    data.frombytes(pixels.data.cast("B"))
    return data
