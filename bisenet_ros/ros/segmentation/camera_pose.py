"""Where a camera is above the ground: from TF, or from the node's parameters."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Protocol

from rclpy.node import Node
from rclpy.time import Time
from std_msgs.msg import Header

from bisenet_ros.errors import DataError
from bisenet_ros.projection.pose import Pose
from bisenet_ros.ros.messages import stamp_ns
from bisenet_ros.ros.parameters.definition import Parameters

try:
    import tf2_ros
except ImportError:  # PyPI has none; every ROS distribution does
    tf2_ros = None

NANO = 1e-9


class TransformBuffer(Protocol):
    """What is used of tf2_ros.Buffer."""

    def can_transform(self, target_frame: str, source_frame: str, time: Time) -> bool:
        """Whether the transform is known."""

    def lookup_transform(self, target_frame: str, source_frame: str, time: Time) -> Any:
        """geometry_msgs/TransformStamped; raises if it is not known."""


@dataclass(frozen=True)
class CameraPose:
    """A pose and where it came from.

    Attributes:
        pose: of the optical frame over the ground.
        source: ``tf`` or ``parameters``.
        age_s: seconds from the transform to the image's stamp; 0 for parameters and wherever TF
            knows the pose at that stamp.
    """

    pose: Pose
    source: str
    age_s: float = 0.0


class TransformListener:
    """Listens to /tf while somebody needs it, and to nothing where tf2_ros is missing."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._listener: Any = None
        self.buffer: TransformBuffer | None = None

    def listen(self, wanted: bool) -> None:
        """Subscribe, or unsubscribe and forget what was heard."""
        with self._lock:
            if tf2_ros is None or wanted == (self._listener is not None):
                return
            if wanted:
                buffer = tf2_ros.Buffer()
                self._listener = tf2_ros.TransformListener(buffer, self._node, spin_thread=False)
                self.buffer = buffer
            else:
                self._listener.unregister()
                self._listener = self.buffer = None


def find_pose(
    header: Header, parameters: Parameters, buffer: TransformBuffer | None, cameras: int
) -> CameraPose:
    """The pose of a camera at the time of an image.

    ``auto`` takes the parameters only where TF does not connect the two frames at all: a transform
    that is late or has stopped must not be replaced by one that may be wrong.

    Args:
        header: of the image.
        parameters: of the node.
        buffer: of TF; None where it is not listened to.
        cameras: of the node; the parameters describe one.

    Raises:
        DataError: there is no pose; says why and what to do.
    """
    if parameters.ground_pose == "parameters":
        return _from_parameters(parameters, cameras, "")
    reason = _unknown_to_tf(header.frame_id, parameters.ground_frame, buffer)
    if not reason and buffer is not None:
        return _from_tf(header, parameters, buffer)
    if parameters.ground_pose == "tf":
        raise DataError(f"{reason}; publish it on /tf, or set ground_pose to parameters")
    return _from_parameters(parameters, cameras, reason)


def _unknown_to_tf(frame: str, ground: str, buffer: TransformBuffer | None) -> str:
    """Why TF has no transform at all; empty if it has one."""
    if buffer is None:
        return "tf2_ros is not installed" if tf2_ros is None else "TF is not listened to yet"
    if not frame:
        return "the images have no frame_id"
    if not buffer.can_transform(ground, frame, Time()):
        return f"TF does not connect {frame} to {ground}"
    return ""


def _from_tf(header: Header, parameters: Parameters, buffer: TransformBuffer) -> CameraPose:
    frame, ground, stamp = header.frame_id, parameters.ground_frame, stamp_ns(header.stamp)
    age = 0.0
    try:
        found = buffer.lookup_transform(ground, frame, Time.from_msg(header.stamp))
    except Exception as error:  # tf2's exceptions share no base that is there without tf2
        try:
            found = buffer.lookup_transform(ground, frame, Time())
        except Exception:
            raise DataError(
                f"no transform from {frame} to {ground}: {type(error).__name__}; look at "
                f"`ros2 run tf2_ros tf2_echo {ground} {frame}`"
            ) from error
        age = (stamp - stamp_ns(found.header.stamp)) * NANO
        if abs(age) > parameters.pose_max_age:
            raise DataError(
                f"the newest transform from {frame} to {ground} is more than "
                f"{parameters.pose_max_age:g} s from the image; look at what publishes it, or "
                "raise pose_max_age"
            ) from error
    place, turn = found.transform.translation, found.transform.rotation
    pose = Pose.from_transform((place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))
    return CameraPose(pose, "tf", age)


def _from_parameters(parameters: Parameters, cameras: int, reason: str) -> CameraPose:
    because = f"{reason}, and " if reason else ""
    if cameras > 1:
        raise DataError(
            f"{because}camera_height and the others describe one camera, not {cameras}; publish "
            "the cameras' transforms on /tf"
        )
    if parameters.camera_height <= 0:
        raise DataError(f"{because}camera_height is not set; measure it, and camera_pitch")
    pose = Pose.from_mounting(
        parameters.camera_height,
        parameters.camera_pitch,
        parameters.camera_roll,
        parameters.camera_yaw,
        parameters.camera_x,
        parameters.camera_y,
    )
    return CameraPose(pose, "parameters")
