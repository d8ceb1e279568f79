"""Stands in for ``ros2 bag play`` where rosbag2 is not installed: paused until it is resumed.

Like rosbag2's player it is /rosbag2_player, has its publishers at once, publishes /clock, and plays
when /rosbag2_player/resume is called, whether anybody listens or not. The service has the type that
``rosbag2_interfaces`` names, which tests replace by std_srvs/Trigger.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rosbag2_interfaces.srv import Resume
from rosgraph_msgs.msg import Clock

from bisenet_ros.recordings.rosbag import Bag
from bisenet_ros.ros.messages import to_stamp
from bisenet_ros.ros.player.messages import message_class


def main(arguments: list[str]) -> int:
    """``bag play BAG [options]``; 1 if it is to fail."""
    assert arguments[:2] == ["bag", "play"] and "--start-paused" in arguments, arguments
    speed = float(arguments[arguments.index("--rate") + 1])
    if Path(arguments[2]).with_suffix(".fails").exists():
        print("[ERROR] [rosbag2_player]: no storage", file=sys.stderr)
        return 1
    rclpy.init()
    node = rclpy.create_node("rosbag2_player")
    resumed: list[bool] = []

    def resume(_: Resume.Request, response: Resume.Response) -> Resume.Response:
        resumed.append(True)
        return response

    with Bag(arguments[2]) as bag:
        publishers = {
            topic: node.create_publisher(message_class(topic), topic.name, QoSProfile(depth=10))
            for topic in bag.topics
        }
        clock = node.create_publisher(Clock, "/clock", 10)
        node.create_service(Resume, "~/resume", resume)
        messages = list(bag.messages(bag.topics))
    now = messages[0].log_ns
    while not resumed:
        clock.publish(Clock(clock=to_stamp(now)))
        rclpy.spin_once(node, timeout_sec=0.02)
    for message in messages:
        while now < message.log_ns:
            step = min(10_000_000, message.log_ns - now)
            time.sleep(step / 1e9 / speed)
            now += step
            clock.publish(Clock(clock=to_stamp(now)))
        kind = message_class(message.topic)
        publishers[message.topic].publish(deserialize_message(message.cdr, kind))
    rclpy.shutdown()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (KeyboardInterrupt, ExternalShutdownException):
        sys.exit(-signal.SIGINT)
