"""The camera's calibration: republished with the masks, and as a model to project with."""

from __future__ import annotations

import copy
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from bisenet_ros.errors import DataError
from bisenet_ros.projection.calibration import Calibration
from bisenet_ros.projection.camera_model import CameraModel
from bisenet_ros.ros import qos
from bisenet_ros.ros.segmentation.output_state import OutputState

Size = tuple[int, int]


class CameraInfoRelay:
    """Keeps a camera's newest calibration and publishes it with the header of each mask.

    At the image's own size it is published as it came, ROI and binning included; for smaller masks
    they are worked in and K and P are scaled. A calibration of another size than the image is not
    published: projecting with it would be wrong.

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
        self.topic = node.resolve_topic_name(topic)
        self.state = OutputState(f"{prefix}/camera_info", node.get_logger())
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
        self._scaled: tuple[CameraInfo, Size, CameraInfo] | None = None
        self._model: tuple[Calibration, Size, bool, CameraModel] | None = None

    def publish(self, header: Header, image: Size, mask: Size) -> bool:
        """Publish the calibration for a mask with this header.

        Args:
            header: of the image.
            image: its (height, width).
            mask: that of the mask.

        Returns:
            False if there is no calibration of that size.
        """
        newest = self._newest
        if newest is None:
            return False
        try:
            message = self._for_mask(newest, image, mask)
        except Exception as error:  # whatever it is, the mask is worth more
            if self._publisher.get_subscription_count():
                self.state.fail(error)
            return False
        self.state.run()
        message.header = header
        self._publisher.publish(message)
        return True

    def model(self, image: Size, mask: Size, rectified: bool) -> CameraModel:
        """The camera at the size of its masks; the same object while nothing changes.

        Raises:
            DataError: there is no calibration yet, or it does not fit the images.
        """
        newest = self._newest
        if newest is None:
            raise DataError(
                f"no camera_info on {self.topic}; make the camera driver publish its calibration"
            )
        calibration = Calibration.from_message(newest)
        known = self._model
        if known is not None and known[:3] == (calibration, mask, rectified):
            return known[3]
        own = calibration.for_image(*image)
        own.check(rectified)
        model = CameraModel(own.scaled(*mask), rectified)
        self._model = calibration, mask, rectified, model
        return model

    def close(self) -> None:
        """Destroy the subscription and the publisher."""
        self._node.destroy_subscription(self._subscription)
        self._node.destroy_publisher(self._publisher)

    def _for_mask(self, newest: CameraInfo, image: Size, mask: Size) -> CameraInfo:
        """A message without header; DataError if it describes images of another size."""
        known = self._scaled
        if known is not None and known[0] is newest and known[1] == mask:
            return copy.copy(known[2])
        own = Calibration.from_message(newest).for_image(*image)
        message = copy.copy(newest)
        if mask != image:
            message = to_message(own.scaled(*mask))
        self._scaled = newest, mask, message
        return copy.copy(message)

    def _keep(self, message: CameraInfo) -> None:
        self._newest = message


def to_message(calibration: Calibration) -> Any:
    """A sensor_msgs/CameraInfo without header, ROI and binning."""
    message = CameraInfo()
    message.height, message.width = calibration.height, calibration.width
    message.distortion_model = calibration.distortion_model
    message.d = list(calibration.d)
    message.k = list(calibration.k)
    message.r = list(calibration.r)
    message.p = list(calibration.p)
    return message
