"""Camera and label images as bags hold them: serialised messages to pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.inference.image_encodings import (
    MAX_PIXELS,
    Pixels,
    check_compressed,
    from_compressed,
    from_raw,
)
from bisenet_ros.recordings.rosbag import COMPRESSED, IMAGE
from bisenet_ros.recordings.storage import CDR, ROS1, StoredMessage
from bisenet_ros.system.optional import needed

# NumPy's types of the encodings that class ids come in.
_ID_TYPES = {"mono8": "u1", "8UC1": "u1", "mono16": "u2", "16UC1": "u2", "32SC1": "i4"}


class BrokenMessage(DataError):
    """One message cannot be used; the next one may be good."""


@dataclass(frozen=True, eq=False)
class ImageMessage:
    """An image of a bag, not decoded yet.

    Attributes:
        stamp_ns: its header's stamp in ns; the log time where that is zero.
        log_ns: when it was recorded, in ns.
        topic: where it was published.
        type: ``sensor_msgs/msg/Image`` or ``sensor_msgs/msg/CompressedImage``.
        content: its fields as attributes; ``data`` is a view of the stored bytes.
    """

    stamp_ns: int
    log_ns: int
    topic: str
    type: str
    content: Any

    @classmethod
    def of(cls, stored: StoredMessage) -> ImageMessage:
        """Read all but the pixels; BrokenMessage if the bytes are not a message of that type."""
        channel = stored.channel
        store = _type_store(channel.encoding)
        read = store.deserialize_ros1 if channel.encoding == ROS1 else store.deserialize_cdr
        try:
            content = read(stored.data, channel.type)
        except Exception as error:  # struct, unicode, assert: whatever the bytes lead to
            reason = " ".join(str(error).split()) or type(error).__name__
            raise BrokenMessage(f"message cannot be deserialised ({reason})") from error
        stamp = content.header.stamp
        stamp_ns = stamp.sec * 10**9 + stamp.nanosec
        return cls(stamp_ns or stored.log_ns, stored.log_ns, channel.topic, channel.type, content)

    @property
    def frame_id(self) -> str:
        """The coordinate frame its header names."""
        return self.content.header.frame_id

    def pixels(self) -> Pixels:
        """The camera image, (H, W, 3) uint8, and its order; BrokenMessage if that fails."""
        try:
            if self.type == COMPRESSED:
                return from_compressed(self.content.data)
            return _raw_pixels(self.content)
        except DataError as error:
            raise BrokenMessage(str(error)) from error

    def label(self) -> np.ndarray:
        """What a label image holds.

        Returns:
            (H, W) uint8, uint16 or int32 ids, or (H, W, 3) uint8 RGB colours.

        Raises:
            BrokenMessage: it cannot be decoded.
            DataError: it is a JPEG, which changes ids and colours.
        """
        if self.type == COMPRESSED:
            return _compressed_label(self.content.data, self.topic)
        return _raw_label(self.content)


def readable(type_name: str, encoding: str) -> bool:
    """Whether messages of a channel are images that can be read here."""
    return type_name in (IMAGE, COMPRESSED) and encoding in (CDR, ROS1)


@lru_cache(maxsize=2)
def _type_store(encoding: str) -> Any:
    # Image and CompressedImage are the same in every distribution, so that a bag's own
    # definitions, which may be missing or odd, are not needed.
    typesys = needed("rosbags.typesys", "tools", "reading bags")
    stores = typesys.Stores
    return typesys.get_typestore(stores.ROS1_NOETIC if encoding == ROS1 else stores.ROS2_HUMBLE)


def _raw_pixels(content: Any) -> Pixels:
    return from_raw(
        content.data,
        content.encoding,
        content.height,
        content.width,
        content.step,
        bool(content.is_bigendian),
    )


def _raw_label(content: Any) -> np.ndarray:
    kind = _ID_TYPES.get(content.encoding)
    height, width, step = content.height, content.width, content.step
    if kind is None:
        try:
            image, order = _raw_pixels(content)
        except DataError as error:
            raise BrokenMessage(str(error)) from error
        return image if order == "rgb" else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    dtype = np.dtype(kind).newbyteorder(">" if content.is_bigendian else "<")
    row = width * dtype.itemsize
    size = len(content.data)
    if height < 1 or width < 1 or height * width > MAX_PIXELS or step < row or size < height * step:
        raise BrokenMessage(
            f"label of {width}×{height} {content.encoding} has step {step} and {size} bytes"
        )
    rows = np.frombuffer(content.data, np.uint8)[: height * step].reshape(height, step)[:, :row]
    ids = np.ascontiguousarray(rows).view(dtype)
    return ids.astype(dtype.newbyteorder("="), copy=False)


def _compressed_label(data: Any, topic: str) -> np.ndarray:
    try:
        check_compressed(data)
    except DataError as error:
        raise BrokenMessage(str(error)) from error
    if bytes(data[:2]) == b"\xff\xd8":
        raise DataError(
            f"labels on {topic} are JPEG, which changes ids and colours; expected PNG or raw images"
        )
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise BrokenMessage(f"PNG of {len(data)} bytes is corrupt and cannot be decoded")
    if pixels.ndim == 2:
        return pixels
    if pixels.dtype != np.uint8:
        raise BrokenMessage("PNG has 16 bits a channel; expected ids of one channel or 8-bit RGB")
    return cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_BGR2RGB)
