"""The camera player: a bag, a video, a folder of images or a webcam as a camera node."""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from bisenet_ros.errors import ArgumentError, BarNotMet, BisenetError, DataError
from bisenet_ros.recordings.rosbag import COMPRESSED, Topic
from bisenet_ros.recordings.sources import BagSource, Source, SourceFrame, cut, open_source
from bisenet_ros.ros.messages import to_stamp
from bisenet_ros.ros.player.clock import PlayedClock
from bisenet_ros.ros.player.lockstep import Lockstep
from bisenet_ros.ros.player.messages import image_message, message_class, recorded
from bisenet_ros.ros.player.options import Options, parse
from bisenet_ros.ros.player.report import Report
from bisenet_ros.ros.player.schedule import Due, Schedule
from bisenet_ros.ros.player.signals import Signals, Stopped
from bisenet_ros.system.atomic_files import make_folder, write_json

TOPIC = "/camera/image_raw"
FRAME_ID = "camera_optical_frame"
DEPTH = 5
ACKNOWLEDGE_S = 2.0  # seconds for subscribers to acknowledge the last messages
SETTLE_S = 0.3  # a subscriber may discover the player this much later than the player discovers it


class CameraPlayer(Node):
    """Publishes the frames of a source when they are due.

    Raises:
        ArgumentError: the options contradict each other or do not fit the source.
        DataError: a topic's message type is not installed.
    """

    def __init__(self, source: Source, options: Options, signals: Signals) -> None:
        self.source, self.options, self.signals = source, options, signals
        self.fresh = _fresh(source, options)
        self.compressed = _compressed(source, options)
        # Nobody spins this node, so its parameter services would never answer.
        super().__init__("camera_player", start_parameter_services=False)
        reliable = options.reliability == "reliable"
        self._qos = QoSProfile(
            depth=DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        )
        base = options.as_topic or (source.topic.base if isinstance(source, BagSource) else TOPIC)
        name = f"{base}/compressed" if self.compressed else base
        self.images = self._publisher(CompressedImage if self.compressed else Image, name)
        self.companions: dict[Topic, tuple[Any, Publisher]] = {}
        if isinstance(source, BagSource):
            self._add_companions(source, base)
        self.clock = PlayedClock(self, options.clock) if options.clock else None
        self.schedule = Schedule(
            options.rate, self.fresh, source.period_ns, factor=options.rate_factor
        )
        self.lockstep = _lockstep(self, options)
        self.report = Report(source.name, self.images.topic_name, options.json is not None)

    def wait_for_subscribers(self) -> None:
        """Return once the requested subscribers are there; BarNotMet on timeout."""
        count = self.options.wait_for_subscribers
        if self.lockstep is not None:
            self.lockstep.wait_for_publisher(self.options.wait_timeout)
        if not count:
            return
        needs = [(self.images, count)]
        needs += [
            (p, 1) for topic, (_, p) in self.companions.items() if topic.name in self.options.also
        ]
        deadline = time.monotonic() + self.options.wait_timeout
        while missing := [(p, n) for p, n in needs if p.get_subscription_count() < n]:
            if time.monotonic() > deadline:
                found = ", ".join(
                    f"{p.get_subscription_count()} of {n} on {p.topic_name}" for p, n in missing
                )
                raise BarNotMet(
                    f"waited {self.options.wait_timeout:g} s for subscribers, but found {found}; "
                    "start them first, or raise --wait-timeout"
                )
            time.sleep(0.02)
        time.sleep(SETTLE_S)

    def play(self) -> None:
        """Play to the end; DataError if no frame of a round could be played."""
        self.get_logger().info(f"playing {self.source.name} on {self.images.topic_name}")
        options = self.options
        for _ in itertools.count() if options.loop else range(1):
            before = self.report.frames
            for frame in cut(self.source.frames(), options.start, options.duration):
                self._play(frame)
            if self.report.frames == before:
                raise DataError(self._why_no_frames())

    def wait_for_acknowledgements(self) -> None:
        """Let reliable subscribers receive the last messages before the player exits."""
        if self.options.reliability != "reliable":
            return
        deadline = time.monotonic() + ACKNOWLEDGE_S
        for publisher in (self.images, *(p for _, p in self.companions.values())):
            left = max(0.0, deadline - time.monotonic())
            if not publisher.wait_for_all_acked(Duration(seconds=left)):
                self.get_logger().warning(
                    f"not every subscriber of {publisher.topic_name} acknowledged the last messages"
                )

    def _publisher(self, kind: Any, name: str) -> Publisher:
        try:
            return self.create_publisher(kind, name, self._qos)
        except NameValidationException as error:
            reason = " ".join(str(error).split())
            raise ArgumentError(f"{name!r} is not a valid topic name: {reason}") from error

    def _add_companions(self, source: BagSource, base: str) -> None:
        for topic in source.also:
            kind = message_class(topic)
            publisher = self._publisher(kind, topic.name)
            if publisher.topic_name == self.images.topic_name:
                raise ArgumentError(
                    f"--also {topic.name} is already the image topic; drop it or change --as"
                )
            self.companions[topic] = kind, publisher
        if source.camera_info is not None:
            name = f"{base.rpartition('/')[0]}/camera_info" if "/" in base else "camera_info"
            self.companions[source.camera_info] = CameraInfo, self._publisher(CameraInfo, name)

    def _play(self, frame: SourceFrame) -> None:
        if self.source.live and self._too_early():
            return
        try:
            message = image_message(frame.load(), self.compressed)
        except DataError as error:
            self.report.skipped += 1
            self.get_logger().warning(f"frame skipped: {error}")
            return
        due = self._due(frame)
        self._wait(due)
        self._head(message.header, due.stamp_ns)
        if self.clock is not None:
            self.clock.frame(due)
        with self.signals.held():  # so that every published frame is in the report
            self.images.publish(message)
            self.report.add(message, frame.stamp_ns)
        self._play_companions(frame, due)
        if self.lockstep is not None:
            clock = self.clock
            tick = None if clock is None else lambda: clock.frame(due)
            if not self.lockstep.wait(due.stamp_ns, tick):
                self.report.unserved += 1

    def _too_early(self) -> bool:
        """Whether a live frame arrives ahead of the rate and must be dropped."""
        if self.options.rate is None or not self.report.frames:
            return False
        period = 1e9 / self.options.rate
        expected = self.report.first_ns + self.report.frames * period
        return time.monotonic_ns() < expected - period / 2

    def _due(self, frame: SourceFrame) -> Due:
        if self.source.live:
            return Due(time.monotonic_ns(), frame.stamp_ns)
        if self.lockstep is not None:
            stamp_ns = time.time_ns() if self.fresh else frame.stamp_ns
            self.schedule.remember(frame.stamp_ns, stamp_ns - frame.stamp_ns)
            return Due(time.monotonic_ns(), stamp_ns)
        due = self.schedule.due(frame.stamp_ns)
        if due.late_ns:
            self.report.moved += 1
            self.get_logger().warning(
                f"{due.late_ns / 1e6:.0f} ms late: the remaining frames are delayed by as much",
                throttle_duration_sec=1.0,
            )
        return due

    def _play_companions(self, frame: SourceFrame, due: Due) -> None:
        for delay, other in frame.companions:
            kind, publisher = self.companions[other.topic]
            try:
                message = recorded(other, kind)
            except DataError as error:
                self.get_logger().warning(f"message skipped: {error}")
                continue
            if self.options.rate is None and self.lockstep is None:
                # At another rate the recorded delays are meaningless.
                after = round(delay / self.options.rate_factor)
                self._wait(Due(due.at_ns + after, due.stamp_ns + delay))
            stamp_ns = self.schedule.stamp(other.stamp_ns)
            if other.topic == self._camera_info:
                self._head(message.header, stamp_ns)
            elif self.fresh and hasattr(message, "header"):
                message.header.stamp = to_stamp(stamp_ns)
            publisher.publish(message)

    @property
    def _camera_info(self) -> Topic | None:
        return self.source.camera_info if isinstance(self.source, BagSource) else None

    def _head(self, header: Any, stamp_ns: int) -> None:
        if self.fresh:
            header.stamp = to_stamp(stamp_ns)
        if self.options.frame_id is not None:
            header.frame_id = self.options.frame_id
        elif not self.source.stamped:
            header.frame_id = FRAME_ID

    def _wait(self, due: Due) -> None:
        """Sleep until ``due`` while publishing /clock."""
        while (now := time.monotonic_ns()) < due.at_ns:
            pause = due.at_ns - now
            if self.clock is not None:
                self.clock.tick(now, due)
                pause = min(pause, self.clock.wait_ns(now))
            time.sleep(pause / 1e9)

    def _why_no_frames(self) -> str:
        if self.report.skipped:
            return f"{self.source.name}: none of its {self.report.skipped} frames can be decoded"
        start = self.options.start
        return f"{self.source.name} has no frame {start:g} s after its first one; lower --start"


def _fresh(source: Source, options: Options) -> bool:
    if options.stamps == "original" and not source.stamped:
        raise ArgumentError(
            f"--stamps original, but {source.name} has no recorded stamps; use --stamps fresh"
        )
    return not source.stamped if options.stamps is None else options.stamps == "fresh"


def _lockstep(node: Node, options: Options) -> Lockstep | None:
    if options.lockstep is None:
        return None
    if options.rate is not None or options.rate_factor != 1.0:
        raise ArgumentError(
            "--lockstep plays as fast as frames are served; drop it, or --rate and --rate-factor"
        )
    try:
        return Lockstep(node, options.lockstep, options.lockstep_timeout)
    except NameValidationException as error:
        reason = " ".join(str(error).split())
        raise ArgumentError(f"{options.lockstep!r} is not a valid topic name: {reason}") from error


def _compressed(source: Source, options: Options) -> bool:
    if options.transport != "stored":
        return options.transport == "compressed"
    return isinstance(source, BagSource) and source.topic.type == COMPRESSED


def run(options: Options, signals: Signals) -> None:
    """Play as the options say, until the end or a signal; rclpy must be initialised."""
    if options.json is not None:
        make_folder(options.json.absolute().parent, "the folder of --json")
    with contextlib.ExitStack() as stack:
        player: CameraPlayer | None = None
        with signals:
            source = open_source(options.source, options.topic, options.also)
            stack.callback(source.close)
            player = CameraPlayer(source, options, signals)
            stack.callback(player.destroy_node)
            player.wait_for_subscribers()
            player.play()
            player.wait_for_acknowledgements()
        if player is None:
            return
        player.get_logger().info(str(player.report))
        if options.json is not None:
            write_json(options.json, player.report.as_json())


def main(arguments: list[str] | None = None) -> int:
    """Play until the end or a signal; return the exit code."""
    arguments = sys.argv if arguments is None else ["camera_player", *arguments]
    try:
        options = parse(remove_ros_args(args=arguments)[1:])
        signals = Signals()
        # rclpy's own handlers would shut the context down in the middle of a frame.
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return ArgumentError.exit_code
    try:
        run(options, signals)
        return 0
    except Stopped:
        return 0
    except BisenetError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    finally:
        rclpy.try_shutdown()
