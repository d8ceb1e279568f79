"""Scores the masks of a running node against labels, and records what it publishes.

It only needs the topics of the node under test, so it can score a replayed bag, the demo, or a
robot driving with a labelled camera.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from bisenet_ros.errors import ArgumentError, BarNotMet, BisenetError, DataError
from bisenet_ros.inference.image_encodings import view_raw
from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.node_outputs import Recording, label_set
from bisenet_ros.ros import messages, qos
from bisenet_ros.ros.evaluation.bag_report import PlayedBag, write_report
from bisenet_ros.ros.evaluation.label_topics import LabelWatch, label_topics
from bisenet_ros.ros.evaluation.parameters import PARAMETERS
from bisenet_ros.ros.evaluation.scorer import ScoredFrame, Scorer
from bisenet_ros.ros.usage import Entry, usage
from bisenet_ros.system.atomic_files import make_folder, write_json
from bisenet_ros.system.paths import expanded

SUMMARY = (
    "Scores the masks of a running node against labels with the same header stamps, until SIGINT, "
    "SIGTERM or stop_after_idle."
)
LOG_PERIOD = 5.0  # seconds between log lines with the current score
CONNECT_CHECK_PERIOD = 0.1  # seconds between checks that everything is connected
TIMEOUT_S = 0.1  # seconds between checks of the stop flag
QUEUE = 30  # messages; two seconds of a camera, in case the disk is slow
MAX_STATUSES = 100  # robots have dozens; bounds memory if status names keep changing


class EvaluationNode(Node):
    """Pairs masks with labels by header stamp and scores them; see :data:`PARAMETERS`."""

    def __init__(self) -> None:
        super().__init__("evaluation")
        self.parameters = {name: self._declare(name) for name in PARAMETERS}
        self.out = self._folder("out")
        record = self._folder("record")
        self.bag = PlayedBag.of(self.parameters)
        self._scratch: Path | None = None
        if self.bag is not None and record is None and self.out is not None:
            record = self._scratch = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=self.out))
        self.recording = None if record is None else Recording(record)
        if self.recording is not None:
            self.recording.prepare("record")
        self.scorer = Scorer()
        self.labels: LabelSet | None = None
        self.statuses: dict[str, Any] = {}
        self.connected = False
        self.rivals: list[str] = []
        self._first_mask: float | None = None
        self._last_message: float | None = None
        self._subscribe()
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # keeps logging while sim time is paused
        self.create_timer(LOG_PERIOD, self._log_progress, clock=steady)
        self._connect_timer = self.create_timer(
            CONNECT_CHECK_PERIOD, self._check_connections, clock=steady
        )

    def _declare(self, name: str) -> Any:
        default, description = PARAMETERS[name]
        descriptor = ParameterDescriptor(description=description, read_only=True)
        try:
            return self.declare_parameter(name, default, descriptor).value
        except InvalidParameterTypeException as error:
            kind = type(default).__name__
            raise ArgumentError(
                f"{name} has the wrong type; expected a {kind} such as {default!r}"
            ) from error

    def _folder(self, name: str) -> Path | None:
        value = self.parameters[name]
        return make_folder(Path(expanded(value)), name) if value else None

    def _subscribe(self) -> None:
        topics = self.parameters
        self._subscribe_to(Image, topics["mask_topic"], self._on_mask)
        labels = label_topics(topics["labels_topic"])
        self.label_watch = LabelWatch(self, labels)
        for topic, kind in labels.items():
            self._subscribe_to(kind, topic, self._on_label)
        self._subscribe_to(String, topics["label_names_topic"], self._on_names, qos.latched())
        if topics["overlay_topic"] and self.recording is not None:
            keep = partial(self._record, "overlay", "rgb8", self.recording.add_overlay)
            self._subscribe_to(Image, topics["overlay_topic"], keep)
        if topics["confidence_topic"] and self.recording is not None:
            keep = partial(self._record, "confidence", "mono8", self.recording.add_confidence)
            self._subscribe_to(Image, topics["confidence_topic"], keep)
        if topics["diagnostics"]:
            self._subscribe_to(DiagnosticArray, "/diagnostics", self._on_diagnostics)

    def _subscribe_to(
        self,
        kind: Any,
        topic: str,
        callback: Callable[[Any], None],
        profile: QoSProfile | None = None,
    ) -> None:
        """Subscribe reliably; a best-effort publisher needs ``qos_overrides`` parameters."""
        self.create_subscription(
            kind,
            topic,
            callback,
            profile or QoSProfile(depth=QUEUE),
            qos_overriding_options=qos.overridable(),
        )

    @property
    def idle(self) -> bool:
        """Whether no mask or label has arrived for ``stop_after_idle`` seconds."""
        timeout_s = self.parameters["stop_after_idle"]
        if timeout_s <= 0 or self._last_message is None:
            return False
        return time.monotonic() - self._last_message > timeout_s

    def _on_mask(self, message: Image) -> None:
        arrived = self._last_message = time.monotonic()
        self._first_mask = arrived if self._first_mask is None else self._first_mask
        stamp = messages.stamp_ns(message.header.stamp)
        now = self.get_clock().now().nanoseconds  # 0 under sim time until the first /clock
        try:
            mask = mask_pixels(message)
        except DataError as error:
            return self._refuse(f"mask: {error}")
        frame = ScoredFrame(
            stamp=stamp,
            age_ms=(now - stamp) / 1e6 if now else None,
            arrived_s=arrived - self._first_mask,
            width=message.width,
            height=message.height,
            encoding=message.encoding,
            frame_id=message.header.frame_id,
        )
        self.scorer.add_mask(mask, frame)
        if self.recording is not None:
            self.recording.add_mask(stamp, mask)
        return None

    def _on_label(self, message: Image | CompressedImage) -> None:
        self._last_message = time.monotonic()
        try:
            raw = isinstance(message, Image)
            label = mask_pixels(message) if raw else np.frombuffer(message.data, np.uint8)
        except DataError as error:
            return self._refuse(f"label: {error}")
        return self.scorer.add_label(messages.stamp_ns(message.header.stamp), label)

    def _record(
        self, what: str, encoding: str, add: Callable[[int, np.ndarray], None], message: Image
    ) -> None:
        try:
            pixels = packed_pixels(message, encoding)
        except DataError as error:
            return self._refuse(f"{what}: {error}")
        flat = pixels[..., 0] if encoding == "mono8" else pixels
        return add(messages.stamp_ns(message.header.stamp), flat)

    def _on_names(self, message: String) -> None:
        try:
            content = json.loads(message.data)
            self.labels = label_set(content)
        except (ValueError, DataError) as error:
            return self._refuse(f"label names: {error}")
        if self.recording is not None:
            self.recording.add_labels(content)
        return None

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name in self.statuses or len(self.statuses) < MAX_STATUSES:
                self.statuses[status.name] = plain_status(status, self.scorer.masks)
        if self.recording is not None:
            self.recording.add_diagnostics(self.statuses)

    def _refuse(self, reason: str) -> None:
        self.scorer.refuse(reason)
        self.get_logger().warning(reason, throttle_duration_sec=LOG_PERIOD)

    def _check_connections(self) -> None:
        """Log "ready" once all topics to record are connected; the demo's player waits for it."""
        self.label_watch.look()
        if self.connected:
            return
        names = ("mask_topic", "overlay_topic", "confidence_topic")
        topics = [self.parameters[name] for name in names]
        if self.labels and all(self.count_publishers(topic) for topic in topics if topic):
            self.connected = True
            self.get_logger().info(
                f"ready: connected to {self.parameters['mask_topic']}, {len(self.labels)} classes"
            )

    def _log_progress(self) -> None:
        self._warn_of_rivals()
        if not self.connected and not self.scorer.masks:
            missing = self.parameters["label_names_topic" if not self.labels else "mask_topic"]
            self.get_logger().info(f"waiting for {missing}")
        elif self.scorer.masks:
            self.get_logger().info(self.summary())

    def summary(self) -> str:
        """The score so far in one line."""
        figures = self.scorer.figures(self.labels)
        counts = f"{figures['masks']} masks, {figures['scored']} scored"
        lost = f"{figures['unmatched_masks']} without label"
        if figures["miou"] is None:
            return f"{counts}, {lost}"
        accuracy = f"pixel accuracy {figures['pixel_accuracy']:.4f}"
        return f"mIoU {figures['miou']:.4f}, {accuracy} ({counts}, {lost})"

    def _warn_of_rivals(self) -> None:
        """Log, once, that several nodes publish the masks to score."""
        found = [
            f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            for info in self.get_publishers_info_by_topic(self.parameters["mask_topic"])
        ]
        if len(found) > 1 and not self.rivals:
            self.rivals = sorted(found)
            self.get_logger().warning(
                f"{', '.join(self.rivals)} all publish {self.parameters['mask_topic']}, so their "
                "masks are scored together; stop all but one"
            )

    def finish(self) -> None:
        """Write metrics.json and log the score.

        Raises:
            BarNotMet: ``require_score`` is set and no mask was scored.
        """
        self._warn_of_rivals()
        why = self.label_watch.why_unmatched(self.scorer)
        never = never_received(self.parameters["expected_frames"], self.statuses)
        file = None if self.out is None else self.out / "metrics.json"
        if file is not None and not self.scorer.scored and file.exists():
            self.get_logger().warning(f"nothing was scored, so the older {file} is kept")
        elif file is not None:
            facts = {
                "diagnostics": self.statuses,
                "unmatched_because": why or None,
                "never_received": never,
                "publishers": self.rivals,
            }
            live = {**self.scorer.report(self.labels), **facts}
            write_json(file, live)
            self._write_report(live)
        self.get_logger().info(self.summary())
        if never:
            total = self.parameters["expected_frames"]
            self.get_logger().warning(f"the node never received {never} of {total} recorded images")
        for reason, count in self.scorer.refused.items():
            self.get_logger().warning(f"rejected {count}: {reason}")
        if why:
            self.get_logger().warning(f"masks without a label: {why}")
        if self.parameters["require_score"] and not self.scorer.scored:
            raise BarNotMet(f"no mask was scored: {why or 'none arrived'}")

    def _write_report(self, live: dict[str, Any]) -> None:
        """Score the masks against the bag, if one is played; what goes wrong is logged."""
        if self.bag is None or self.recording is None or self.labels is None or self.out is None:
            return
        self.get_logger().info(f"scoring the masks against {self.bag.path}")
        try:
            found = write_report(self.bag, self.recording, self.labels, live, self.out)
            self.get_logger().info(f"{found['frames']} frames: {self.out / 'report.html'}")
        except ModuleNotFoundError as error:
            self.get_logger().warning(
                f"no report: it needs {error.name}; run pip install 'bisenet_ros[tools]'"
            )
        except BisenetError as error:
            self.get_logger().warning(f"no report: {error}")

    def destroy_node(self) -> None:
        """Leave, and remove masks that were only kept for the report."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        super().destroy_node()


def mask_pixels(message: Image) -> np.ndarray:
    """View a mono8 Image as (H, W) uint8, without copying.

    Raises:
        DataError: another encoding, or fewer bytes than its size and step require.
    """
    return packed_pixels(message, "mono8")[..., 0]


def packed_pixels(message: Image, encoding: str) -> np.ndarray:
    """View an Image of ``encoding`` as (H, W, bytes per pixel) uint8; DataError as above."""
    if message.encoding != encoding:
        raise DataError(f"encoding is {message.encoding!r}; expected {encoding}")
    height, width = message.height, message.width
    return view_raw(message.data, encoding, height, width, message.step)


def never_received(expected: int, statuses: dict[str, Any]) -> int | None:
    """How many of ``expected`` images the node under test did not receive, by its diagnostics.

    None if that is unknown: nothing is expected, or no camera reported.
    """
    received = [
        int(status["values"]["received"])
        for status in statuses.values()
        if str(status["values"].get("received", "")).isdecimal()
    ]
    if not expected or not received:
        return None
    return max(0, expected - sum(received))


def plain_status(status: Any, masks: int) -> dict[str, Any]:
    """A DiagnosticStatus as JSON values, with the number of masks that arrived before it."""
    level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
    values = {item.key: item.value for item in status.values}
    return {
        "level": level,
        "message": status.message,
        "hardware_id": status.hardware_id,
        "values": values,
        "masks_before": masks,
    }


def help_text() -> str:
    """What ``--help`` prints."""
    sections = {
        "subscribes": [
            Entry("mask_topic", "sensor_msgs/Image mono8", "masks"),
            Entry("labels_topic", "Image, or CompressedImage on TOPIC/compressed", "true ids"),
            Entry("label_names_topic", "std_msgs/String", "names and colours of the classes"),
            Entry("overlay_topic", "sensor_msgs/Image rgb8", "overlays, if they are recorded"),
            Entry("/diagnostics", "diagnostic_msgs/DiagnosticArray", "the node's diagnostics"),
        ],
        "parameters": [
            Entry(name, json.dumps(default), text) for name, (default, text) in PARAMETERS.items()
        ],
    }
    return usage("evaluation_node", SUMMARY, sections)


def run(arguments: list[str] | None, stop: threading.Event) -> int:
    """Score until ``stop`` is set or ``stop_after_idle`` has elapsed; returns the exit code.

    Args:
        arguments: the command line; None for that of the process.
        stop: set by the caller to end the node.
    """
    # rclpy's own handlers would shut the context down before the last line is logged.
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = EvaluationNode()
        try:
            _spin(node, stop)
            node.finish()
        finally:
            node.destroy_node()
        return 0
    except BisenetError as error:
        print(f"evaluation_node: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"evaluation_node: cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return DataError.exit_code
    finally:
        rclpy.try_shutdown()


def _spin(node: EvaluationNode, stop: threading.Event) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not stop.is_set() and not node.idle:
            executor.spin_once(timeout_sec=TIMEOUT_S)
    except ExternalShutdownException:
        stop.set()  # the context was shut down: same as a signal
    finally:
        executor.shutdown(timeout_sec=1.0)
