"""Real processes over real DDS, each test on its own domain and on localhost only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from bisenet_ros.system.environment import process_environment, recommended_environment

# The tests' own nodes, too, must stay on this machine and publish large images.
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.update(recommended_environment())

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 45.0  # seconds; two busy cores need a few of them to import torch


@contextlib.contextmanager
def own_domain() -> Iterator[int]:
    """A DDS domain that no other test run on this machine uses, for the duration of the block."""
    for domain in range(1, 100):
        path = Path(tempfile.gettempdir()) / f"bisenet_ros_test_domain_{domain}.lock"
        with path.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    raise RuntimeError("all 99 test domains are taken; are other test runs stuck?")


def ros_environment(domain: int) -> dict[str, str]:
    """The environment of a child process on ``domain``."""
    return process_environment(
        {
            **os.environ,
            "ROS_DOMAIN_ID": str(domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
    )


class Peer:
    """A test's own ROS node: publishes, subscribes, and spins until a condition holds."""

    def __init__(self, domain: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node("test_peer", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def spin_until(self, holds: Callable[[], Any], what: str, patience: float = TIMEOUT_S) -> None:
        """Serve callbacks until ``holds()`` is true; fail naming ``what`` after ``patience`` s."""
        deadline = time.monotonic() + patience
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"timed out after {patience:.0f} s waiting for {what}")
            self.executor.spin_once(timeout_sec=0.05)

    def spin_for(self, seconds: float) -> None:
        """Serve callbacks for a while; only for asserting that something does not happen."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.02)

    def collect(self, kind: Any, topic: str, qos: Any = 10) -> list[Any]:
        """Subscribe, and return the list that messages are appended to."""
        messages: list[Any] = []
        self.node.create_subscription(kind, topic, messages.append, qos)
        return messages

    def close(self) -> None:
        """Leave the domain."""
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


class Process:
    """A child process whose output goes to a file, so that it never blocks on a pipe."""

    def __init__(self, arguments: list[str], domain: int, log: Path, **environment: str) -> None:
        self.log = log
        self.handle = log.open("w")
        self.child = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env={**ros_environment(domain), **environment},
            stdout=self.handle,
            stderr=subprocess.STDOUT,
        )

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return self.log.read_text(errors="replace")

    def stop(self, sign: int = signal.SIGINT, patience: float = 20.0) -> int:
        """Send the signal, wait, and return the exit code; kill and fail after ``patience`` s."""
        if self.child.poll() is None:
            self.child.send_signal(sign)
        return self.wait(patience)

    def wait(self, patience: float = TIMEOUT_S) -> int:
        """The exit code, once the process ends by itself."""
        try:
            return self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f"still running after {patience} s:\n{self.output}") from None
        finally:
            self.handle.close()


def python_module(module: str, *arguments: str) -> list[str]:
    """Command line of ``python -m module arguments`` with this test run's Python."""
    return [sys.executable, "-m", module, *arguments]
