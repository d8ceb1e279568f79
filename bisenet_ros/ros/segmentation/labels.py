"""Publishes the class names and colours of the mask ids, latched for late subscribers."""

from __future__ import annotations

from rclpy.node import Node
from std_msgs.msg import String

from bisenet_ros.labels import LabelSet
from bisenet_ros.ros import qos

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:
    LabelInfo = None


class LabelTopics:
    """``~/labels`` (JSON) always, ``~/label_info`` where vision_msgs is installed."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._json = node.create_publisher(String, "~/labels", qos.latched())
        self._info = None
        if LabelInfo is None:
            node.get_logger().info(
                "vision_msgs is not installed: ~/label_info is not published, use ~/labels instead"
            )
        else:
            self._info = node.create_publisher(LabelInfo, "~/label_info", qos.latched())

    def publish(self, labels: LabelSet, threshold: float) -> None:
        """Publish the labels; pixels with a confidence below ``threshold`` are 255."""
        self._json.publish(String(data=labels.to_json()))
        if self._info is not None:
            info = LabelInfo()
            info.header.stamp = self._node.get_clock().now().to_msg()
            info.class_map = [
                VisionClass(class_id=i, class_name=name) for i, name in enumerate(labels.names)
            ]
            info.threshold = threshold
            self._info.publish(info)
