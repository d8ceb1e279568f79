"""Publishes /clock for nodes that use the playback time."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock

from bisenet_ros.ros.messages import to_stamp
from bisenet_ros.ros.player.schedule import Due


class PlayedClock:
    """Publishes /clock: each frame's stamp right before the frame, and ticks in between.

    Args:
        node: owner of the publisher.
        rate: ticks per second.
    """

    def __init__(self, node: Node, rate: float) -> None:
        self._publisher = node.create_publisher(Clock, "/clock", QoSProfile(depth=1))
        self._period = round(1e9 / rate)
        self._last: Due | None = None
        self._next_tick = 0

    def frame(self, due: Due) -> None:
        """Set the clock to a frame's stamp."""
        self._last = due
        self._next_tick = due.at_ns + self._period
        self._publish(due.stamp_ns)

    def wait_ns(self, now_ns: int) -> int:
        """Nanoseconds until the next tick; a whole period before the first frame."""
        return self._period if self._last is None else max(0, self._next_tick - now_ns)

    def tick(self, now_ns: int, coming: Due) -> None:
        """If a tick is due, publish the time interpolated between the last frame and ``coming``."""
        last = self._last
        if last is None or now_ns < self._next_tick:
            return
        self._next_tick += self._period * (1 + (now_ns - self._next_tick) // self._period)
        span = coming.at_ns - last.at_ns
        if span <= 0 or coming.stamp_ns <= last.stamp_ns:
            return  # the source restarts: the clock stands still until then
        part = min(now_ns - last.at_ns, span - 1) / span
        self._publish(last.stamp_ns + int(part * (coming.stamp_ns - last.stamp_ns)))

    def _publish(self, time_ns: int) -> None:
        message = Clock()
        message.clock = to_stamp(time_ns)
        self._publisher.publish(message)
