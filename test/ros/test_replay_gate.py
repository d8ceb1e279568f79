"""The gate opens when everybody is connected, and says what it waits for until then."""

from __future__ import annotations

import threading

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from bisenet_ros.errors import BisenetError
from bisenet_ros.ros.qos import latched
from bisenet_ros.ros.replay_gate import ReplayGate, wait_and_resume


@pytest.fixture
def made(domain):
    """Makes nodes on one context; all are destroyed at the end."""
    context, nodes = Context(), []
    rclpy.init(context=context, domain_id=domain)

    def make(kind=Node, *arguments):
        nodes.append(kind(*arguments, context=context))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def status(matched: str) -> DiagnosticArray:
    values = [KeyValue(key="matched_publishers", value=matched)]
    return DiagnosticArray(status=[DiagnosticStatus(name="bisenet: camera front", values=values)])


def test_it_waits_for_weights_player_subscriptions_and_connections(made, peer):
    gate = made(ReplayGate, "/bisenet", "/evaluation")
    peer.executor.add_node(gate)

    def becomes(said: str) -> None:
        peer.spin_until(lambda: said in (gate.waiting_for() or "nothing"), said)

    becomes("/bisenet to load its weights")
    node = made(Node, "bisenet")
    labels = node.create_publisher(String, "~/labels", latched())
    labels.publish(String(data="{}"))
    becomes("/rosbag2_player to start")
    player = made(Node, "rosbag2_player")
    player.create_publisher(CompressedImage, "/cam/compressed", 1)
    becomes("it listens to no images yet, the bag holds /cam/compressed")
    node.create_subscription(Image, "/other", print, 1)
    becomes("it listens to /other, the bag holds /cam/compressed")
    node.create_subscription(CompressedImage, "/cam/compressed", print, 1)
    becomes("/evaluation to start")
    scorer = made(Node, "evaluation")
    scorer.create_subscription(Image, "/bisenet/mask", print, 1)
    becomes("/bisenet to be connected to /rosbag2_player")
    reports = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
    peer.spin_until(reports.get_subscription_count, "the gate's subscription")
    reports.publish(status("0"))
    becomes("/bisenet to be connected")
    reports.publish(status("1"))
    becomes("nothing")
    peer.executor.remove_node(gate)
    resumed: list[bool] = []
    assert wait_and_resume(gate, lambda: resumed.append(True), 5.0, threading.Event())
    assert resumed == [True]


def test_a_timeout_says_what_is_missing(made):
    gate = made(ReplayGate, "/bisenet", "/evaluation")
    with pytest.raises(BisenetError, match="waited 0.3 s for /bisenet to load its weights"):
        wait_and_resume(gate, lambda: None, 0.3, threading.Event())


def test_it_ends_when_it_is_stopped(made):
    stop = threading.Event()
    stop.set()
    assert not wait_and_resume(made(ReplayGate, "/a", "/b"), lambda: None, 30.0, stop)
