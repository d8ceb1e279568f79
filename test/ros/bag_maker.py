"""Small bags for tests, written without ROS."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
STRING = "std_msgs/msg/String"
FRAME_ID = "test_optical_frame"


def picture(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    """(H, W, 3) uint8 pixels that differ for each seed."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


class BagMaker:
    """Writes a bag into ``folder``; use it in a ``with`` block. Messages go in log order."""

    def __init__(self, folder: Path, storage: StoragePlugin = StoragePlugin.MCAP) -> None:
        self.store = get_typestore(Stores.ROS2_HUMBLE)
        self.writer = Writer(folder, version=8, storage_plugin=storage)
        self.topics: dict[str, Any] = {}

    def __enter__(self) -> BagMaker:
        self.writer.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.writer.close()

    def raw(
        self, topic: str, stamp: int, pixels: np.ndarray, encoding: str, log: int | None = None
    ) -> None:
        height, width = pixels.shape[:2]
        self._write(
            topic,
            IMAGE,
            stamp if log is None else log,
            header=self._header(stamp),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=pixels.size // height,
            data=pixels.reshape(-1),
        )

    def compressed(
        self,
        topic: str,
        stamp: int,
        content: np.ndarray,
        form: str = "jpeg",
        log: int | None = None,
    ) -> None:
        self._write(
            topic,
            COMPRESSED,
            stamp if log is None else log,
            header=self._header(stamp),
            format=form,
            data=content.reshape(-1),
        )

    def jpeg(self, topic: str, stamp: int, pixels: np.ndarray, log: int | None = None) -> None:
        self.compressed(topic, stamp, cv2.imencode(".jpg", pixels)[1], log=log)

    def camera_info(self, topic: str, stamp: int, log: int | None = None) -> None:
        roi = self.store.types["sensor_msgs/msg/RegionOfInterest"]
        self._write(
            topic,
            CAMERA_INFO,
            stamp if log is None else log,
            header=self._header(stamp),
            height=24,
            width=32,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=np.arange(9, dtype=np.float64),
            r=np.eye(3).reshape(-1),
            p=np.zeros(12),
            binning_x=0,
            binning_y=0,
            roi=roi(0, 0, 0, 0, False),
        )

    def string(self, topic: str, log: int, text: str) -> None:
        self._write(topic, STRING, log, data=text)

    def _header(self, stamp: int) -> Any:
        time = self.store.types["builtin_interfaces/msg/Time"]
        header = self.store.types["std_msgs/msg/Header"]
        return header(time(*divmod(stamp, 10**9)), FRAME_ID)

    def _write(self, topic: str, kind: str, log: int, **fields: Any) -> None:
        if topic not in self.topics:
            self.topics[topic] = self.writer.add_connection(topic, kind, typestore=self.store)
        message = self.store.types[kind](**fields)
        self.writer.write(self.topics[topic], log, self.store.serialize_cdr(message, kind))
