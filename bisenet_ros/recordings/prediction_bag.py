"""Write what a network made of a recording as a rosbag2 that ``ros2 bag play`` takes.

The topics are the node's own (spec of the node): mask, confidence, overlay, label_info and labels,
each message under the stamp, the coordinate frame and the log time of the camera image it belongs
to, so that the bag can be played beside the one it was made from.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.bag_qos import METADATA_VERSION, reliable_qos
from bisenet_ros.recordings.codec import encode_jpeg
from bisenet_ros.recordings.frame_stream import RecordedFrame
from bisenet_ros.recordings.rosbag import COMPRESSED, IMAGE
from bisenet_ros.system.optional import needed

NAMESPACE = "/bisenet"
JPEG_QUALITY = 90
STRING = "std_msgs/msg/String"
LABEL_INFO = "vision_msgs/msg/LabelInfo"
# The fields of vision_msgs, which the library's own type stores do not have.
_DEFINITIONS = {
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name\n",
    LABEL_INFO: (
        "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n"
    ),
}


class PredictionBag:
    """A rosbag2 folder that appears, whole, when the ``with`` block ends well.

    Args:
        folder: where; a bag that is there already is replaced, nothing else is.
        labels: what the ids of the masks mean.
        threshold: the confidence below which pixels of the masks are 255.
        namespace: before the topics' names.

    Raises:
        ArgumentError: the folder cannot be written, or holds something that is not a bag.
    """

    def __init__(
        self, folder: Path, labels: LabelSet, threshold: float = 0.0, namespace: str = NAMESPACE
    ) -> None:
        self.folder = folder
        self.labels = labels
        self.threshold = threshold
        self.namespace = namespace.rstrip("/")
        self.frames = 0
        if folder.exists() and not (folder / "metadata.yaml").is_file():
            raise ArgumentError(
                f"{folder} exists and is not a bag; move it away or name another folder"
            )
        self._rosbag2 = needed("rosbags.rosbag2", "tools", "writing bags")
        self._store = _type_store()
        self._topics: dict[str, Any] = {}
        self._scratch = Path()
        self._writer: Any = None

    def __enter__(self) -> PredictionBag:
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            # Beside the folder, so that moving is renaming.
            scratch = tempfile.mkdtemp(prefix=".unfinished-", dir=self.folder.parent)
        except OSError as error:
            raise ArgumentError(
                f"{self.folder} cannot be written ({error.strerror}); name a folder that can"
            ) from error
        self._scratch = Path(scratch)
        plugin = self._rosbag2.StoragePlugin.MCAP
        # The mcap inside is named after its folder.
        path = self._scratch / self.folder.name
        self._writer = self._rosbag2.Writer(path, version=METADATA_VERSION, storage_plugin=plugin)
        # Masks shrink to a fiftieth; chunks that are compressed need no plugin to be played.
        self._writer.set_compression(
            self._rosbag2.CompressionMode.STORAGE, self._rosbag2.CompressionFormat.ZSTD
        )
        self._writer.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
            else:
                with contextlib.suppress(Exception):
                    self._writer.abort()
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def add(
        self,
        frame: RecordedFrame,
        mask: np.ndarray,
        confidence: np.ndarray | None = None,
        overlay: np.ndarray | None = None,
    ) -> None:
        """Write what was made of a frame.

        Args:
            frame: where it comes from; only its stamp, log time and frame_id are used.
            mask: (H, W) uint8 ids, 255 no class.
            confidence: (H, W) uint8, probability · 255.
            overlay: (H, W, 3) uint8 RGB; written as JPEG.

        Raises:
            DataError: the disk is full, or failed.
        """
        log_ns = frame.stamp_ns if frame.log_ns is None else frame.log_ns
        header = self._header(frame.stamp_ns, frame.frame_id)
        if not self.frames:
            self._write_labels(header, log_ns)
        self._write("mask", log_ns, self._image(header, mask))
        if confidence is not None:
            self._write("confidence", log_ns, self._image(header, confidence))
        if overlay is not None:
            jpeg = np.frombuffer(encode_jpeg(overlay, JPEG_QUALITY), np.uint8)
            form = "rgb8; jpeg compressed bgr8"
            message = self._store.types[COMPRESSED](header, form, jpeg)
            self._write("overlay/compressed", log_ns, message)
        self.frames += 1

    def _write_labels(self, header: Any, log_ns: int) -> None:
        types = self._store.types
        vision_class = types["vision_msgs/msg/VisionClass"]
        classes = [vision_class(index, name) for index, name in enumerate(self.labels.names)]
        self._write("label_info", log_ns, types[LABEL_INFO](header, classes, self.threshold))
        self._write("labels", log_ns, types[STRING](self.labels.to_json()))

    def _write(self, name: str, log_ns: int, message: Any) -> None:
        kind = message.__msgtype__
        try:
            if name not in self._topics:
                self._topics[name] = self._writer.add_connection(
                    f"{self.namespace}/{name}",
                    kind,
                    typestore=self._store,
                    offered_qos_profiles=[reliable_qos(1, latched=name.startswith("label"))],
                )
            data = self._store.serialize_cdr(message, kind)
            self._writer.write(self._topics[name], log_ns, data)
        except OSError as error:
            raise self._unwritable(error) from error

    def _finish(self) -> None:
        try:
            self._writer.close()
            if self.folder.exists():
                os.replace(self.folder, self._scratch / "older")
            os.replace(self._scratch / self.folder.name, self.folder)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(f"{self.folder} cannot be written: {error.strerror}; make room there")

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        types = self._store.types
        time = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
        return types["std_msgs/msg/Header"](time, frame_id)

    def _image(self, header: Any, pixels: np.ndarray) -> Any:
        height, width = pixels.shape
        data = np.ascontiguousarray(pixels).reshape(-1)
        return self._store.types[IMAGE](header, height, width, "mono8", 0, width, data)


def _type_store() -> Any:
    typesys = needed("rosbags.typesys", "tools", "writing bags")
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    for name, definition in _DEFINITIONS.items():
        store.register(typesys.get_types_from_msg(definition, name))
    return store
