"""~/points: the mask's pixels as points in space, from a registered depth image."""

from __future__ import annotations

import threading
from collections.abc import Callable

import cv2
import numpy as np
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image, PointCloud2

from bisenet_ros.errors import DataError
from bisenet_ros.projection.camera_model import CameraModel
from bisenet_ros.projection.depth_images import decode_compressed, decode_raw
from bisenet_ros.projection.points import POINT, LabelledPoints
from bisenet_ros.ros import qos
from bisenet_ros.ros.clouds import Cloud
from bisenet_ros.ros.messages import stamp_ns
from bisenet_ros.ros.segmentation.camera_info import CameraInfoRelay
from bisenet_ros.ros.segmentation.output_state import OutputState
from bisenet_ros.ros.segmentation.pairing import Pairing
from bisenet_ros.ros.segmentation.segmented_frame import SegmentedFrame
from bisenet_ros.ros.segmentation.topics import resolved_topic

COMPRESSED = "/compressedDepth"  # the end of a topic of compressed_depth_image_transport
SHAPE_TOLERANCE = 0.02  # how far the two images' aspect ratios may differ, for odd sizes


class PointsOutput:
    """Pairs frames with depth images and publishes their points, while somebody subscribes.

    Args:
        node: owner of the topics.
        depth_topic: registered depth images; empty: there are none.
        prefix: of the output topics.
        group: callback group of the camera.
        calibration: of the camera.
        wake: called when a depth image has arrived.
    """

    def __init__(
        self,
        node: Node,
        depth_topic: str,
        prefix: str,
        group: CallbackGroup,
        calibration: CameraInfoRelay,
        wake: Callable[[], None],
    ) -> None:
        self._node, self._group, self._calibration, self._wake = node, group, calibration, wake
        self.topic = resolved_topic(node, "depth_topic", depth_topic) if depth_topic else ""
        self.kind = CompressedImage if self.topic.endswith(COMPRESSED) else Image
        self.state = OutputState(f"{prefix}/points", node.get_logger())
        self.pairing: Pairing[SegmentedFrame, Image | CompressedImage] = Pairing()
        self.published = 0
        self._max_dt = 0.0  # seconds
        self._publisher = node.create_publisher(
            PointCloud2,
            f"{prefix}/points",
            qos.newest(),
            qos_overriding_options=qos.overridable(),
        )
        self._subscription: Subscription | None = None
        self._reliability = ReliabilityPolicy.RELIABLE
        self._lock = threading.Lock()  # subscribe and close come from different threads
        self._maker: LabelledPoints | None = None
        self._cloud: Cloud | None = None

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes to the points."""
        return self._publisher.get_subscription_count() > 0

    def subscribe(self) -> None:
        """Follow the points' subscribers and the depth topic's publishers; call again and again."""
        if not self.wanted:
            self.unsubscribe()
            self.state.run()
            return
        if not self.topic:
            self.state.pause("depth_topic is not set; set it to depth registered to the camera")
            return
        offered = qos.offered_reliability(self._node, self.topic)
        reliability = qos.subscription_reliability("auto", offered)
        with self._lock:
            if self._subscription is not None and reliability == self._reliability:
                return
            self._drop_subscription()
            self._reliability = reliability
            self._subscription = self._node.create_subscription(
                self.kind,
                self.topic,
                self._receive,
                qos.newest(reliability),
                callback_group=self._group,
            )

    def unsubscribe(self) -> None:
        """Stop receiving depth; what waits is forgotten."""
        with self._lock:
            self._drop_subscription()
        self.pairing.clear()

    def close(self) -> None:
        """Unsubscribe and destroy the publisher."""
        self.unsubscribe()
        self._node.destroy_publisher(self._publisher)

    def add(self, frame: SegmentedFrame) -> None:
        """A frame that was segmented."""
        self._max_dt = frame.parameters.depth_max_dt
        if self.topic and frame.confidence is not None:
            self.pairing.add_frame(stamp_ns(frame.header.stamp), frame)

    def work(self) -> bool:
        """Publish the points of every frame whose depth has come; whether there was any."""
        worked = False
        pairs, unpaired = self.pairing.take(round(self._max_dt * 1e9))
        if unpaired:
            self.state.pause(
                f"no depth image on {self.topic} within {self._max_dt:g} s of the image's stamp; "
                "synchronise the two, or raise depth_max_dt"
            )
        for frame, depth in pairs:
            try:
                self._publish(frame, depth)
            except Exception as error:  # a calibration may be absurd in ways nobody thought of
                self.state.fail(error)
                continue
            self.state.run()
            self.published += 1
            worked = True
        return worked

    def _publish(self, frame: SegmentedFrame, depth: Image | CompressedImage) -> None:
        if depth.header.frame_id != frame.header.frame_id:
            raise DataError(
                f"the depth image is in frame {depth.header.frame_id!r}, the camera's in "
                f"{frame.header.frame_id!r}; take a topic that is registered to the camera"
            )
        rectified = frame.parameters.image_rectified
        model = self._calibration.model(frame.image_size, frame.mask_size, rectified)
        ranges = decode(depth)
        maker, cloud = self._buffers(model, ranges, frame)
        assert frame.confidence is not None
        maker.make(ranges, frame.mask, frame.confidence, _rgb(frame), cloud.points)
        self._publisher.publish(cloud.under(frame.header))

    def _buffers(
        self, model: CameraModel, depth: np.ndarray, frame: SegmentedFrame
    ) -> tuple[LabelledPoints, Cloud]:
        size = depth.shape[0], depth.shape[1]
        maker, cloud = self._maker, self._cloud
        if maker is None or maker.depth_size != size or maker.camera != model:
            _check_shape(size, frame.image_size)
            self._maker = maker = LabelledPoints(model, *size)
        if cloud is None or cloud.shape != frame.mask_size:
            self._cloud = cloud = Cloud(POINT, frame.mask_size, is_dense=False)
        return maker, cloud

    def _receive(self, message: Image | CompressedImage) -> None:
        self.pairing.add_depth(stamp_ns(message.header.stamp), message)
        self._wake()

    def _drop_subscription(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None


def decode(message: Image | CompressedImage) -> np.ndarray:
    """(H, W) uint16 millimetres or float32 metres; DataError for anything else."""
    if isinstance(message, CompressedImage):
        return decode_compressed(message.format, message.data)
    return decode_raw(
        message.encoding,
        message.height,
        message.width,
        message.step,
        message.data,
        bool(message.is_bigendian),
    )


def _check_shape(depth: tuple[int, int], image: tuple[int, int]) -> None:
    """DataError unless both (height, width) can be of one view."""
    ratio = (depth[1] / depth[0]) / (image[1] / image[0])
    if abs(ratio - 1) > SHAPE_TOLERANCE:
        raise DataError(
            f"the depth image has {depth[1]}×{depth[0]} pixels, the camera's "
            f"{image[1]}×{image[0]}: another view; take a topic that is registered to the camera"
        )


def _rgb(frame: SegmentedFrame) -> np.ndarray:
    """The image at the mask's size, (H, W, 3) uint8 RGB."""
    image, (height, width) = frame.pixels.image, frame.mask_size
    if frame.image_size != frame.mask_size:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return image if frame.pixels.order == "rgb" else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
