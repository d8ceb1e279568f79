"""One camera: its subscription, its outputs, its counters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from bisenet_ros.errors import DataError
from bisenet_ros.inference import OutputRequest
from bisenet_ros.inference.cpu.overlay import colour_mask
from bisenet_ros.label_map import LabelMap
from bisenet_ros.ros import messages, qos
from bisenet_ros.ros.parameters.definition import Parameters
from bisenet_ros.ros.segmentation.camera_info import CameraInfoRelay
from bisenet_ros.ros.segmentation.ground import FindPose
from bisenet_ros.ros.segmentation.projections import Projections
from bisenet_ros.ros.segmentation.segmented_frame import SegmentedFrame
from bisenet_ros.ros.segmentation.statistics import DAY_S, CameraStatistics
from bisenet_ros.ros.segmentation.topics import ImageTopic, remedy

# Trailing parts of a topic that name the kind of image, not the camera.
IMAGE_SUFFIXES = ("image", "compressed")
LOSS_WARNING = 0.1  # fraction of lost frames that is worth a warning


@dataclass(frozen=True)
class ReceivedFrame:
    """A valid message waiting to be segmented, and when it arrived (perf_counter)."""

    message: Image | CompressedImage
    received: float


@dataclass
class OutputPublishers:
    """A camera's publishers."""

    mask: Publisher
    mask_color: Publisher
    mask_runs: Publisher
    confidence: Publisher
    overlay: Publisher
    overlay_jpeg: Publisher

    def all(self) -> Iterable[Publisher]:
        """Every publisher."""
        return (
            *(self.mask, self.mask_color, self.mask_runs),
            *(self.confidence, self.overlay, self.overlay_jpeg),
        )


class Camera:
    """Receives one topic's images and publishes their masks.

    Args:
        node: the node that owns the topics.
        name: of the camera; part of the output topics if there are several.
        topic: of its images.
        prefix: of the output topics: ``~`` or ``~/<name>``.
        parameters: the node's parameters.
        submit: called with (name, frame) for each valid message; True if an older frame was
            superseded, None if this one is dropped.
        now: seconds on the node's clock.
        find_pose: the camera's pose at an image's header.
        index: of the camera among ``parameters.topics()``.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        topic: ImageTopic,
        prefix: str,
        parameters: Parameters,
        submit: Callable[[str, ReceivedFrame], bool | None],
        now: Callable[[], float],
        find_pose: FindPose,
        index: int = 0,
    ) -> None:
        self.node, self.name, self.parameters = node, name, parameters
        self.kind = CompressedImage if topic.transport == "compressed" else Image
        self.topic, self._images = topic.resolved, topic
        self.statistics = CameraStatistics(now())
        self.warning = ""  # why images may not arrive; for diagnostics
        self._submit, self._now = submit, now
        self._group = MutuallyExclusiveCallbackGroup()
        self._subscription: Subscription | None = None
        self._reliability = ReliabilityPolicy.RELIABLE
        self.outputs = self._advertise(prefix)
        self.calibration = CameraInfoRelay(node, topic.base, prefix, self._group)
        self.index = index
        self.projections = Projections(
            node,
            parameters.of_camera("depth_topic", index, ""),
            prefix,
            self._group,
            self.calibration,
            find_pose,
            self.statistics,
        )

    def _advertise(self, prefix: str) -> OutputPublishers:
        def publisher(kind: type, name: str) -> Publisher:
            return self.node.create_publisher(
                kind,
                f"{prefix}/{name}",
                qos.newest(),
                qos_overriding_options=qos.overridable(),
            )

        return OutputPublishers(
            mask=publisher(Image, "mask"),
            mask_color=publisher(Image, "mask_color"),
            mask_runs=publisher(Image, "mask_runs"),
            confidence=publisher(Image, "confidence"),
            overlay=publisher(Image, "overlay"),
            overlay_jpeg=publisher(CompressedImage, "overlay/compressed"),
        )

    def subscribe(self) -> None:
        """Subscribe with a QoS that matches the current publishers; call again to follow them."""
        self.projections.subscribe()
        offered = qos.offered_reliability(self.node, self.topic)
        reliability = qos.subscription_reliability(self.parameters.image_reliability, offered)
        if self._subscription is None or reliability != self._reliability:
            self._drop_subscription()
            self._reliability = reliability
            self._subscription = self.node.create_subscription(
                self.kind,
                self._images.requested,
                self._receive,
                qos.newest(reliability),
                callback_group=self._group,
            )
        warning = (
            qos.publisher_mismatch(reliability, offered)
            or remedy(self.node, self._images)
            or self._lost_frames(offered)
            or qos.subscriber_mismatch(self.node, self.outputs.mask.topic_name)
            or qos.rival_publishers(self.node, self.outputs.mask.topic_name)
            or self._foreign_clock()
        )
        if warning and warning != self.warning:
            self.node.get_logger().warning(f"{self.topic}: {warning}")
        self.warning = warning

    def unsubscribe(self) -> None:
        """Receive neither images nor depth any more."""
        self.projections.unsubscribe()
        self._drop_subscription()

    def _drop_subscription(self) -> None:
        if self._subscription is not None:
            self.node.destroy_subscription(self._subscription)
            self._subscription = None

    def close(self) -> None:
        """Unsubscribe and destroy the publishers."""
        self.unsubscribe()
        self.projections.close()
        self.calibration.close()
        for publisher in self.outputs.all():
            self.node.destroy_publisher(publisher)

    def connection(self) -> dict[str, object]:
        """How many publishers the subscription is connected to, where rclpy can tell."""
        subscription = self._subscription
        count = getattr(subscription, "get_publisher_count", None)  # not in Humble
        if subscription is not None and count is None:
            return {}
        return {"matched_publishers": int(count()) if count is not None else 0}

    def requested_outputs(
        self, parameters: Parameters, label_map: LabelMap | None
    ) -> OutputRequest:
        """The outputs that have subscribers right now; no others are computed."""
        outputs = self.outputs
        return OutputRequest(
            confidence=parameters.publish_confidence
            or outputs.confidence.get_subscription_count() > 0
            or self.projections.points.wanted,
            overlay=outputs.overlay.get_subscription_count() > 0
            or outputs.overlay_jpeg.get_subscription_count() > 0,
            alpha=parameters.overlay_alpha,
            threshold=parameters.confidence_threshold,
            scale=parameters.output_scale,
            rotation=parameters.rotation_of(self.index),
            label_map=label_map,
        )

    def publish(self, frame: SegmentedFrame, overlay: np.ndarray | None) -> None:
        """Publish the computed outputs with the frame's header.

        Args:
            frame: the image and its mask.
            overlay: (H, W, 3) uint8 RGB at the mask's size, or None.
        """
        header, outputs, mask = frame.header, self.outputs, frame.mask
        outputs.mask.publish(messages.to_image(header, mask, "mono8"))
        self.calibration.publish(header, frame.image_size, frame.mask_size)
        if frame.confidence is not None and (
            frame.parameters.publish_confidence or outputs.confidence.get_subscription_count()
        ):
            outputs.confidence.publish(messages.to_image(header, frame.confidence, "mono8"))
        if outputs.mask_color.get_subscription_count():
            colours = colour_mask(mask, frame.labels.palette())
            outputs.mask_color.publish(messages.to_image(header, colours, "rgb8"))
        if outputs.mask_runs.get_subscription_count():
            outputs.mask_runs.publish(messages.to_runs(header, mask))
        if overlay is not None and outputs.overlay.get_subscription_count():
            outputs.overlay.publish(messages.to_image(header, overlay, "rgb8"))
        if overlay is not None and outputs.overlay_jpeg.get_subscription_count():
            quality = frame.parameters.jpeg_quality
            outputs.overlay_jpeg.publish(messages.to_jpeg(header, overlay, quality))
        self.projections.add(frame)

    @property
    def warnings(self) -> str:
        """Everything that is wrong with the camera's input or keeps an output from being built."""
        return "; ".join(filter(None, (self.warning, *self.projections.problems)))

    def reject(self, reason: str) -> None:
        """Count a rejected message and log the reason, at most once per second."""
        self.statistics.rejected(reason)
        self.node.get_logger().warning(
            f"{self.topic}: image rejected: {reason}", throttle_duration_sec=1.0
        )

    def _receive(self, message: Image | CompressedImage) -> None:
        received = time.perf_counter()
        seconds = messages.stamp_ns(message.header.stamp) * 1e-9
        self.statistics.received(self._now(), seconds)
        try:
            # Before it can supersede a valid pending frame.
            messages.check(message)
        except DataError as error:
            self.reject(str(error))
            return
        superseded = self._submit(self.name, ReceivedFrame(message, received))
        if superseded is None:
            self.statistics.dropped()
        elif superseded:
            self.statistics.superseded()

    def _lost_frames(self, offered: dict[str, ReliabilityPolicy]) -> str:
        """A sentence if frames from a best-effort publisher get lost in transport, or ``""``."""
        if qos.BEST_EFFORT not in offered.values():
            return ""
        share = self.statistics.lost_share(self._now())
        silent = self.statistics.last_input is None
        if share < LOSS_WARNING and not silent:
            return ""
        arriving = "no images" if silent else f"only {1 - share:.0%} of the images"
        return (
            f"{arriving} from {', '.join(offered)} arrive; it publishes best_effort, and large "
            "images get lost in Fast DDS's default shared memory: start it with the profile "
            "config/fastdds.xml (before Kilted: config/fastrtps.xml), or make it publish reliable"
        )

    def _foreign_clock(self) -> str:
        """A sentence if the stamps are not from the node's clock, or ``""``."""
        offset = self.statistics.clock_offset
        if not offset:
            return ""
        simulated = bool(self.node.get_parameter("use_sim_time").value)
        hint = (
            "use_sim_time is true, so the camera must be stamped with the time of /clock"
            if simulated
            else "set use_sim_time to true if a recording or a simulator publishes /clock"
        )
        side = "behind" if offset > 0 else "ahead of"
        return (
            f"clock mismatch: stamps are {abs(offset) / DAY_S:.0f} days {side} the node's clock, "
            f"so ages are unknown; {hint}"
        )


def camera_names(topics: list[str]) -> list[str]:
    """A short, unique name for each topic.

    ``/front/image_raw`` becomes ``front``; if names collide, more of the topic is used:
    ``/left/cam/image`` and ``/right/cam/image`` become ``left_cam`` and ``right_cam``.
    """
    parts = [_camera_parts(topic) for topic in topics]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["_".join(p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    return ["_".join(topic.strip("/").split("/")) for topic in topics]


def _camera_parts(topic: str) -> list[str]:
    parts = [part for part in topic.split("/") if part and part != "~"]
    while len(parts) > 1 and parts[-1].startswith(IMAGE_SUFFIXES):
        parts.pop()
    return parts or ["camera"]
