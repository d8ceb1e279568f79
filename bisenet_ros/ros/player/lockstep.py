"""Plays as fast as a node serves every frame: waits for the answer to each."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from bisenet_ros.errors import BarNotMet
from bisenet_ros.ros.messages import stamp_ns

DEPTH = 5
TICK_S = 0.1  # between two repetitions of the time, for those who missed it
SETTLE_S = 0.3


class Lockstep:
    """Knows which frames were served, by the stamps on a topic.

    Args:
        node: owner of the subscription; spun here only.
        topic: of images that carry the stamp of the frame they belong to, such as masks.
        timeout_s: how long to wait for one.
    """

    def __init__(self, node: Node, topic: str, timeout_s: float) -> None:
        self._node, self._timeout_s = node, timeout_s
        self._last: int | None = None
        node.create_subscription(Image, topic, self._on_image, QoSProfile(depth=DEPTH))
        self._topic = node.resolve_topic_name(topic)
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)

    def wait_for_publisher(self, timeout_s: float) -> None:
        """Return once somebody publishes the topic; BarNotMet on timeout."""
        deadline = time.monotonic() + timeout_s
        while not self._node.count_publishers(self._topic):
            if time.monotonic() > deadline:
                raise BarNotMet(
                    f"waited {timeout_s:g} s, but nobody publishes {self._topic}; start the node "
                    "first, or raise --wait-timeout"
                )
            time.sleep(0.02)
        time.sleep(SETTLE_S)

    def wait(self, stamp: int, tick: Callable[[], None] | None = None) -> bool:
        """Whether the frame with this stamp (ns) is served in time; calls ``tick`` meanwhile."""
        now = time.monotonic()
        deadline, next_tick = now + self._timeout_s, now + TICK_S
        while self._last != stamp:
            self._executor.spin_once(timeout_sec=TICK_S)
            now = time.monotonic()
            if now > deadline:
                self._node.get_logger().warning(f"the frame of {stamp} ns was not served in time")
                return False
            if tick is not None and now > next_tick:
                next_tick = now + TICK_S
                tick()
        self._last = None  # the next frame may have the same stamp
        return True

    def _on_image(self, message: Image) -> None:
        self._last = stamp_ns(message.header.stamp)
