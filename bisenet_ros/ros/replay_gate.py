"""Waits until a replay's node and scorer are connected to the paused player, then resumes it.

``ros2 bag play`` begins when its publishers exist, not when somebody listens; the frames until then
are lost. Started by replay.launch.py as ``python -m bisenet_ros.ros.replay_gate``.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String

from bisenet_ros.errors import BisenetError
from bisenet_ros.ros import qos

PLAYER = "/rosbag2_player"
IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
SETTLE_S = 0.3  # the player may find a subscription this much later than the gate does
POLL_S = 0.1
MATCHED = "matched_publishers"  # of a camera's diagnostics


class ReplayGate(Node):
    """Watches the graph of a replay.

    Args:
        node: full name of the segmentation node.
        scorer: full name of the evaluation node.
        player: full name of the player.
    """

    def __init__(self, node: str, scorer: str, player: str = PLAYER, **options: Any) -> None:
        super().__init__("replay_gate", **options)
        self._names = node, scorer, player
        self._loaded = False
        self._matched: list[int] = []  # publishers matched per camera, as far as the node says
        self.create_subscription(String, f"{node}/labels", self._on_labels, qos.latched())
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def waiting_for(self) -> str:
        """What is still missing, in words; empty if the player can start."""
        node, scorer, player = self._names
        if not self._loaded:
            return f"{node} to load its weights"
        played = self._topics(self.get_publisher_names_and_types_by_node, player)
        if played is None:
            return f"{player} to start"
        heard = self._topics(self.get_subscriber_names_and_types_by_node, node) or set()
        if not heard & played:
            return (
                f"{node} to subscribe to a topic of the bag: it listens to "
                f"{', '.join(sorted(heard)) or 'no images yet'}, the bag holds "
                f"{', '.join(sorted(played)) or 'none'}"
            )
        if self._topics(self.get_subscriber_names_and_types_by_node, scorer) is None:
            return f"{scorer} to start"
        if not self._matched or not all(self._matched):
            return f"{node} to be connected to {player}"
        return ""

    def _topics(self, ask: Callable[..., Any], full_name: str) -> set[str] | None:
        """Image topics of a node; None if there is no such node."""
        namespace, _, name = full_name.rpartition("/")
        try:
            found = ask(name, namespace or "/")
        except Exception:  # rclpy has a class of its own for a node that is not there yet
            return None
        return {topic for topic, types in found if set(types) & set(IMAGES)}

    def _on_labels(self, _: String) -> None:
        self._loaded = True

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        prefix = f"{self._names[0].rpartition('/')[2]}: camera "
        values = [
            {item.key: item.value for item in status.values}
            for status in message.status
            if status.name.startswith(prefix)
        ]
        if values:
            # A distribution whose rclpy cannot count them leaves it at what the graph shows.
            self._matched = [int(found.get(MATCHED, "1")) for found in values]


def wait_and_resume(
    gate: ReplayGate, resume: Callable[[], None], timeout_s: float, stop: threading.Event
) -> bool:
    """Spin until nothing is missing, then call ``resume``; False if stopped meanwhile.

    Raises:
        BisenetError: something is still missing after ``timeout_s`` seconds; says what.
    """
    executor = SingleThreadedExecutor(context=gate.context)
    executor.add_node(gate)
    deadline = time.monotonic() + timeout_s
    try:
        while missing := gate.waiting_for():
            if stop.is_set():
                return False
            if time.monotonic() > deadline:
                raise BisenetError(f"waited {timeout_s:g} s for {missing}")
            executor.spin_once(timeout_sec=POLL_S)
        if stop.wait(SETTLE_S):
            return False
        resume()
        return True
    finally:
        executor.shutdown(timeout_sec=1.0)


def resume_player(gate: Node, player: str = PLAYER, timeout_s: float = 10.0) -> None:
    """Call the player's ``resume`` service; BisenetError if it does not answer."""
    kind = importlib.import_module("rosbag2_interfaces.srv").Resume
    client: Any = gate.create_client(kind, f"{player}/resume")
    if not client.wait_for_service(timeout_s):
        raise BisenetError(
            f"{player}/resume is not there; is this ros2 bag play of Humble or later?"
        )
    future = client.call_async(kind.Request())
    rclpy.spin_until_future_complete(gate, future, timeout_sec=timeout_s)
    if not future.done():
        raise BisenetError(f"{player}/resume did not answer within {timeout_s:g} s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Wait and resume; 0, or the exit code of what went wrong."""
    parser = argparse.ArgumentParser(prog="replay_gate", description=__doc__)
    parser.add_argument("--node", required=True, help="full name of the segmentation node")
    parser.add_argument("--scorer", required=True, help="full name of the evaluation node")
    parser.add_argument("--player", default=PLAYER, help="full name of the player")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds")
    given = parser.parse_args(arguments)
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        gate = ReplayGate(given.node, given.scorer, given.player)
        wait_and_resume(gate, lambda: resume_player(gate, given.player), given.timeout, stop)
        return 0
    except ExternalShutdownException:
        return 0
    except (BisenetError, ImportError) as error:
        print(f"replay_gate: {error}", file=sys.stderr)
        return BisenetError.exit_code
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
