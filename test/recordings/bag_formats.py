"""Small bags of every format, all of the same messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import mcap.writer
import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
STRING = "std_msgs/msg/String"
STORE = get_typestore(Stores.ROS2_HUMBLE)
STORE_1 = get_typestore(Stores.ROS1_NOETIC)


class Note(NamedTuple):
    """A message for a bag, in the form of ROS 2."""

    topic: str
    type: str
    log_ns: int
    fields: dict[str, Any]
    cdr: bytes | None = None  # instead of the fields: bytes as they are

    def ros2(self) -> bytes:
        if self.cdr is not None:
            return self.cdr
        return bytes(STORE.serialize_cdr(STORE.types[self.type](**self.fields), self.type))

    def ros1(self) -> bytes:
        if self.cdr is not None:
            return self.cdr
        fields = dict(self.fields)
        if "header" in fields:
            old = fields["header"]
            time = STORE_1.types["builtin_interfaces/msg/Time"](old.stamp.sec, old.stamp.nanosec)
            fields["header"] = STORE_1.types["std_msgs/msg/Header"](7, time, old.frame_id)
        message = STORE_1.types[self.type](**fields)
        return bytes(STORE_1.serialize_ros1(message, self.type))


def header(stamp: int) -> Any:
    time = STORE.types["builtin_interfaces/msg/Time"]
    return STORE.types["std_msgs/msg/Header"](time(*divmod(stamp, 10**9)), "camera")


def raw(
    topic: str,
    stamp: int,
    pixels: np.ndarray,
    encoding: str,
    log: int | None = None,
    padding: int = 0,
    big_endian: bool = False,
) -> Note:
    """A raw image; ``padding`` bytes are added to each row."""
    height, width = pixels.shape[:2]
    if big_endian:
        pixels = pixels.astype(pixels.dtype.newbyteorder(">"))
    rows = np.ascontiguousarray(pixels).reshape(height, -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    fields = {
        "header": header(stamp),
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": int(big_endian),
        "step": rows.shape[1],
        "data": rows.reshape(-1),
    }
    return Note(topic, IMAGE, stamp if log is None else log, fields)


def compressed(
    topic: str, stamp: int, pixels: np.ndarray, suffix: str = ".png", log: int | None = None
) -> Note:
    """A compressed image; colours are BGR, as OpenCV has them."""
    fields = {
        "header": header(stamp),
        "format": suffix[1:],
        "data": cv2.imencode(suffix, pixels)[1].reshape(-1),
    }
    return Note(topic, COMPRESSED, stamp if log is None else log, fields)


def text(topic: str, log: int, content: str = "hello") -> Note:
    return Note(topic, STRING, log, {"data": content})


def broken(topic: str, log: int, type_name: str = IMAGE, length: int = 30) -> Note:
    """A message whose bytes are none of its type."""
    return Note(topic, type_name, log, {}, b"\x00\x01\x00\x00" + bytes([7] * length))


def write_rosbag2(
    folder: Path,
    notes: Sequence[Note],
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    """A rosbag2 folder."""
    writer = Writer(folder, version=8, storage_plugin=storage)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections: dict[str, Any] = {}
        for note in notes:
            if note.topic not in connections:
                connections[note.topic] = writer.add_connection(
                    note.topic, note.type, typestore=STORE
                )
            writer.write(connections[note.topic], note.log_ns, note.ros2())
    return folder


def write_ros1(path: Path, notes: Sequence[Note], bz2: bool = False) -> Path:
    """A ROS 1 bag."""
    writer = Writer1(path)
    if bz2:
        writer.set_compression(Writer1.CompressionFormat.BZ2)
    with writer:
        connections: dict[str, Any] = {}
        for note in notes:
            if note.topic not in connections:
                connections[note.topic] = writer.add_connection(
                    note.topic, note.type, typestore=STORE_1
                )
            writer.write(connections[note.topic], note.log_ns, note.ros1())
    return path


def write_mcap(path: Path, notes: Sequence[Note], **options: Any) -> Path:
    """A single mcap, written as the options of mcap's own writer say."""
    options.setdefault("chunk_size", 4000)
    with path.open("wb") as file:
        writer = mcap.writer.Writer(file, **options)
        writer.start(profile="ros2", library="test")
        channels: dict[str, int] = {}
        for note in notes:
            if note.topic not in channels:
                definition, _ = STORE.generate_msgdef(note.type, ros_version=2)
                schema = writer.register_schema(note.type, "ros2msg", definition.encode())
                channels[note.topic] = writer.register_channel(note.topic, "cdr", schema)
            writer.add_message(channels[note.topic], note.log_ns, note.ros2(), note.log_ns)
        writer.finish()
    return path
