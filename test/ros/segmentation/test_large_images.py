"""config/fastdds.xml: best-effort images that do not fit into Fast DDS's own segment arrive."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable

import pytest
from harness import Peer, Process
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Empty

# Sends one image for each request, so that no image waits for another and no clock matters.
CAMERA = """
import array
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Empty

rclpy.init()
node = rclpy.create_node("camera")
qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
publisher = node.create_publisher(Image, "/large", qos)
image = Image(height=1080, width=1920, step=5760, encoding="rgb8")
image.data = array.array("B", bytes(1080 * 5760))
node.create_subscription(Empty, "/request", lambda _: publisher.publish(image), 10)
rclpy.spin(node)
"""
IMAGES = 20
NEEDED = 1 << 29  # bytes of /dev/shm: two processes with 128 MiB, and some air


@pytest.mark.skipif(
    shutil.disk_usage("/dev/shm").free < NEEDED, reason="/dev/shm has less than 512 MiB free"
)
def test_best_effort_images_of_6_mb_arrive(start: Callable[..., Process], peer: Peer):
    start([sys.executable, "-c", CAMERA])
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    received = peer.collect(Image, "/large", best_effort)
    requests = peer.node.create_publisher(Empty, "/request", 10)
    # Until both have discovered each other, requests and images go nowhere.
    peer.spin_until(lambda: received or requests.publish(Empty()), "the camera")
    for count in range(1, IMAGES + 1):
        requests.publish(Empty())
        peer.spin_until(lambda count=count: len(received) > count, f"image {count}")
    assert {len(image.data) for image in received} == {1080 * 5760}
