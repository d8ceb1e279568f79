"""A segmentation node in its own process, and helpers to test it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from harness import Peer, Process, own_domain, python_module
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header

BASE = ("device:=cpu", "precision:=fp32", "engine:=torch", "threads:=2")
SIZE = (60, 80)


def picture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    random = np.random.default_rng(seed)
    return cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), size[::-1])


def image(seed: int, stamp: int, size: tuple[int, int] = SIZE, encoding: str = "rgb8") -> Image:
    pixels = picture(seed, size)
    message = Image(height=size[0], width=size[1], encoding=encoding, step=size[1] * 3)
    message.data.frombytes(pixels.tobytes())
    message.header = Header(frame_id="lens")
    message.header.stamp.sec, message.header.stamp.nanosec = stamp, 7
    return message


class Rig:
    """A running node, and a peer that sends images and receives its outputs.

    Args:
        options: parameters as ``name:=value``.
        script: a script with its arguments, in place of the node's module.
    """

    def __init__(
        self, domain: int, folder: Path, *options: str, script: Sequence[str] = ()
    ) -> None:
        command = node_command(*options)
        if script:
            command[1:3] = script  # ``-m MODULE`` stood there
        self.process = Process(command, domain, folder / "node.log")
        self.peer = Peer(domain)
        self.masks = self.peer.collect(Image, "/bisenet/mask")
        self.reports = self.peer.collect(DiagnosticArray, "/diagnostics")
        self.stamp = 1000

    def advertise(self, kind, topic: str, qos=5):
        """A publisher that the node is subscribed to."""
        publisher = self.peer.node.create_publisher(kind, topic, qos)
        self.peer.spin_until(lambda: self.subscribed(publisher), f"a subscription to {topic}")
        return publisher

    def subscribed(self, publisher) -> bool:
        """Whether the node is subscribed; fails with its output if it has exited."""
        assert self.process.child.poll() is None, self.process.output
        return publisher.get_subscription_count() > 0

    def next_stamp(self) -> int:
        self.stamp += 1
        return self.stamp

    def send(self, publisher, message) -> Image:
        """Publish, wait for the mask of the same stamp, return it."""
        publisher.publish(message)
        sought = message.header.stamp
        self.peer.spin_until(
            lambda: any(m.header.stamp == sought for m in self.masks), f"the mask of {sought}"
        )
        return next(m for m in self.masks if m.header.stamp == sought)

    def values(self, ending: str = "camera camera") -> dict[str, str]:
        """Values of a status from the next diagnostics message."""
        seen = len(self.reports)
        self.peer.spin_until(lambda: len(self.reports) > seen, "diagnostics")
        return status_values(self.reports[-1], ending)

    def count(self, key: str, value: int) -> None:
        """Wait until a counter of the camera equals ``value``."""
        self.peer.spin_until(
            lambda: (
                self.reports and int(status_values(self.reports[-1], "camera camera")[key]) == value
            ),
            f"{key} = {value}",
        )

    def set(self, **values):
        """Set parameters; returns (successful, reason) of each."""
        client = self.peer.node.create_client(SetParameters, "/bisenet/set_parameters")
        request = SetParameters.Request()
        request.parameters = [
            ParameterMessage(name=k, value=Parameter(k, value=v).get_parameter_value())
            for k, v in values.items()
        ]
        return [(r.successful, r.reason) for r in self.call(client, request).results]

    def call(self, client, request):
        self.peer.spin_until(client.service_is_ready, client.srv_name)
        future = client.call_async(request)
        self.peer.spin_until(future.done, client.srv_name)
        return future.result()

    def close(self) -> None:
        self.peer.close()
        if self.process.child.poll() is None:
            assert self.process.stop() == 0
        assert "Traceback" not in self.process.output


def status_values(report: DiagnosticArray, ending: str) -> dict[str, str]:
    for status in report.status:
        if status.name.endswith(ending):
            return {
                **{v.key: v.value for v in status.values},
                "message": status.message,
                "level": status.level,
            }
    raise AssertionError(f"no status {ending} among {[s.name for s in report.status]}")


def node_command(*options: str) -> list[str]:
    given = [part for option in options for part in ("-p", option)]
    return python_module("bisenet_ros.ros.segmentation_node", "--ros-args", *given)


@contextlib.contextmanager
def serving(folder: Path, weights: Path) -> Iterator[Rig]:
    """A rig without a rate limit on its own domain, for all tests of a module."""
    with own_domain() as domain:
        rig = Rig(domain, folder, f"weights:={weights}", "rate:=0.0", *BASE)
        yield rig
        rig.close()
