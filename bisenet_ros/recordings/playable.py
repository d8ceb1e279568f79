"""A bag that the camera player can play: itself, or its camera images copied into a rosbag2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.bag_files import ZSTD
from bisenet_ros.recordings.bag_frames import BagFrames
from bisenet_ros.recordings.bag_qos import METADATA_VERSION, reliable_qos
from bisenet_ros.recordings.image_messages import BrokenMessage, ImageMessage
from bisenet_ros.recordings.rosbag import IMAGE
from bisenet_ros.system.optional import needed


def playable(frames: BagFrames, folder: Path) -> Path:
    """The bag's path, or a copy of its camera images if only tolerant readers can read it.

    That is so of ROS 1 bags, of packed files and of damaged bags; what cannot be read of them is
    left out.

    Args:
        frames: the open bag.
        folder: for the copy, which takes as much room as the images.

    Raises:
        DataError: the disk is full.
    """
    if not _is_copied(frames):
        return frames.path
    path = folder / "camera"
    try:
        _copy(frames, path)
    except OSError as error:
        raise DataError(
            f"{frames.path} is copied to be played, which needs more room in {folder}: "
            f"{error.strerror}"
        ) from error
    return path


def _is_copied(frames: BagFrames) -> bool:
    path = frames.path
    files = path.iterdir() if path.is_dir() else [path]
    odd = any(file.suffix in (".bag", ZSTD) for file in files)
    return odd or bool(frames.storage.loss.reasons)


def _copy(frames: BagFrames, path: Path) -> None:
    rosbag2 = needed("rosbags.rosbag2", "tools", "writing bags")
    typesys = needed("rosbags.typesys", "tools", "writing bags")
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    images = frames.images
    plugin = rosbag2.StoragePlugin.MCAP
    with rosbag2.Writer(path, version=METADATA_VERSION, storage_plugin=plugin) as writer:
        topic = writer.add_connection(
            images.name, images.type, typestore=store, offered_qos_profiles=[reliable_qos(5)]
        )
        for stored in frames.storage.messages([images.name]):
            if stored.channel.type != images.type:
                continue
            try:
                message = ImageMessage.of(stored)
            except BrokenMessage:  # counted where the bag is scored
                continue
            content = _ros2(message, store.types)
            writer.write(topic, message.log_ns, store.serialize_cdr(content, images.type))


def _ros2(message: ImageMessage, types: Any) -> Any:
    """The message with ROS 2's header, stamped as it is scored."""
    content = message.content
    time = types["builtin_interfaces/msg/Time"](*divmod(message.stamp_ns, 10**9))
    header = types["std_msgs/msg/Header"](time, message.frame_id)
    names: tuple[str, ...] = ("format", "data")
    if message.type == IMAGE:
        names = ("height", "width", "encoding", "is_bigendian", "step", "data")
    return types[message.type](header, *(getattr(content, name) for name in names))
