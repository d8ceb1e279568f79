"""Republishes the camera's calibration with the masks, so that they can be projected."""

from __future__ import annotations

import copy

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from bisenet_ros.ros import qos


class CameraInfoRelay:
    """Keeps a camera's newest calibration and publishes it with the header of each mask.

    Masks have the camera's own size, so its calibration applies unchanged. A calibration of
    another size than the mask is not published: projecting with it would be wrong.

    Args:
        node: owner of the topics.
        image_topic: base topic of the images; the calibration is its sibling ``camera_info``.
        prefix: of the output topics.
        group: callback group of the camera.
    """

    def __init__(self, node: Node, image_topic: str, prefix: str, group: CallbackGroup) -> None:
        self._node = node
        self._newest: CameraInfo | None = None
        namespace = image_topic.rpartition("/")[0]
        topic = f"{namespace}/camera_info" if "/" in image_topic else "camera_info"
        # Best effort matches every publisher, and these messages are small.
        self._subscription = node.create_subscription(
            CameraInfo, topic, self._keep, qos.newest(qos.BEST_EFFORT), callback_group=group
        )
        self._publisher = node.create_publisher(
            CameraInfo,
            f"{prefix}/camera_info",
            qos.newest(),
            qos_overriding_options=qos.overridable(),
        )

    def publish(self, header: Header, height: int, width: int) -> bool:
        """Publish the calibration for a mask of this header and size; False if there is none."""
        newest = self._newest
        if newest is None or (newest.height, newest.width) != (height, width):
            return False
        message = copy.copy(newest)
        message.header = header
        self._publisher.publish(message)
        return True

    def close(self) -> None:
        """Destroy the subscription and the publisher."""
        self._node.destroy_subscription(self._subscription)
        self._node.destroy_publisher(self._publisher)

    def _keep(self, message: CameraInfo) -> None:
        self._newest = message
