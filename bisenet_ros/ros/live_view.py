"""Shows a running node in Rerun: its camera's images under its masks, and how it keeps up."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from bisenet_ros.errors import BarNotMet, DataError
from bisenet_ros.recordings.codec import decode_bgr
from bisenet_ros.recordings.node_outputs import label_set
from bisenet_ros.report.rerun import RerunLog
from bisenet_ros.ros import messages, qos
from bisenet_ros.ros.evaluation.node import mask_pixels

HELD = 30  # camera images that wait for their mask
TIMEOUT_S = 30.0  # to hear from the node
DEPTH = 5


class LiveView(Node):
    """Pairs images, masks and confidence by their stamps and logs them.

    Args:
        stream: of Rerun.
        node: name of the segmentation node.
        image_topic: of the camera, raw or ending in ``/compressed``.
    """

    def __init__(self, stream: Any, node: str, image_topic: str) -> None:
        super().__init__("bisenet_view")
        self.stream = stream
        self.log: RerunLog | None = None
        self.frames = 0
        self._images: OrderedDict[int, tuple[np.ndarray, str]] = OrderedDict()
        self._confidence: OrderedDict[int, np.ndarray] = OrderedDict()
        self._masks: OrderedDict[int, np.ndarray] = OrderedDict()
        self._figures: dict[str, float] = {}
        self._last_s: float | None = None
        name = "/" + node.strip("/")
        kind = CompressedImage if image_topic.endswith("/compressed") else Image
        profile = QoSProfile(depth=DEPTH)
        self.create_subscription(kind, image_topic, self._on_image, profile)
        self.create_subscription(Image, f"{name}/mask", self._on_mask, profile)
        self.create_subscription(Image, f"{name}/confidence", self._on_confidence, profile)
        self.create_subscription(String, f"{name}/labels", self._on_labels, qos.latched())
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, profile)

    def _on_labels(self, message: String) -> None:
        try:
            labels = label_set(json.loads(message.data))
        except (ValueError, DataError) as error:
            self.get_logger().warning(f"label names: {error}")
            return
        if self.log is None or self.log.labels != labels:
            self.log = RerunLog(self.stream, labels)

    def _on_image(self, message: Image | CompressedImage) -> None:
        stamp = messages.stamp_ns(message.header.stamp)
        try:
            if isinstance(message, Image):
                pixels = messages.to_pixels(message)
                found = (np.array(pixels.image), pixels.order)
            else:
                found = (decode_bgr(message.data), "bgr")
        except DataError:
            return  # the node refuses it, too, and says so
        _put(self._images, stamp, found)
        self._show(stamp)

    def _on_mask(self, message: Image) -> None:
        stamp = messages.stamp_ns(message.header.stamp)
        now = time.monotonic()
        if self._last_s is not None:
            self._figures["fps"] = 1 / max(1e-6, now - self._last_s)
        self._last_s = now
        self._figures["age_ms"] = (self.get_clock().now().nanoseconds - stamp) / 1e6
        try:
            _put(self._masks, stamp, mask_pixels(message).copy())
        except DataError as error:
            self.get_logger().warning(f"mask: {error}", throttle_duration_sec=5.0)
            return
        self._show(stamp)

    def _on_confidence(self, message: Image) -> None:
        try:
            confidence = mask_pixels(message).copy()
        except DataError:
            return
        _put(self._confidence, messages.stamp_ns(message.header.stamp), confidence)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            if "frame_age_ms_p50" in values and self.log is not None:
                text = ", ".join(
                    f"{key} {values[key]}"
                    for key in ("input_fps", "output_fps", "superseded", "rejected")
                    if key in values
                )
                self.stream.log("diagnostics", _text(f"{status.name}: {text}"))

    def _show(self, stamp: int) -> None:
        if self.log is None or stamp not in self._images or stamp not in self._masks:
            return
        (image, order), mask = self._images.pop(stamp), self._masks.pop(stamp)
        confidence = self._confidence.pop(stamp, None)
        figures: dict[str, float | None] = {**self._figures}
        if confidence is not None:
            figures["confidence"] = float(confidence.mean()) / 255
        self.log.add(self.frames, stamp, image, order, mask, confidence, None, figures)
        self.frames += 1


def _text(line: str) -> Any:
    from bisenet_ros.report.rerun import rerun

    return rerun().TextLog(line)


def _put(held: OrderedDict[int, Any], stamp: int, value: Any) -> None:
    held[stamp] = value
    while len(held) > HELD:
        held.popitem(last=False)


def show_node(
    stream: Any, node: str, image_topic: str | None = None, limit: int | None = None
) -> None:
    """Log a running node until Ctrl-C, or until ``limit`` frames.

    Args:
        stream: of Rerun.
        node: its name.
        image_topic: of its camera; None to ask the graph what it subscribes to.
        limit: most frames.

    Raises:
        BarNotMet: the node is not heard of in time.
    """
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    view: LiveView | None = None
    try:
        topic = image_topic or _camera_of(node)
        view = LiveView(stream, node, topic)
        executor = SingleThreadedExecutor()
        executor.add_node(view)
        begun = time.monotonic()
        while limit is None or view.frames < limit:
            executor.spin_once(timeout_sec=0.1)
            if view.log is None and time.monotonic() - begun > TIMEOUT_S:
                raise BarNotMet(f"waited {TIMEOUT_S:g} s, but {node}/labels was not published")
    finally:
        if view is not None:
            view.destroy_node()
        rclpy.try_shutdown()


def _camera_of(node: str) -> str:
    """The image topic that a node subscribes to; BarNotMet if it is not there in time."""
    kinds = {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}
    name = "/" + node.strip("/")
    base, _, last = name.rpartition("/")
    asking = rclpy.create_node("bisenet_view_search")
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            rclpy.spin_once(asking, timeout_sec=0.1)
            try:
                found = asking.get_subscriber_names_and_types_by_node(last, base or "/")
            except Exception:  # rclpy raises its own type where the node is not known yet
                continue
            for topic, types in found:
                if kinds & set(types):
                    return topic
    finally:
        asking.destroy_node()
    raise BarNotMet(
        f"waited {TIMEOUT_S:g} s, but no node {name} subscribes to images; start it, or pass --node"
    )
