"""A camera that waits for the mask and overlay of each image: part of ``benchmark --ros``.

``python -m bisenet_ros.ros.benchmark_camera TOPIC NODE HEIGHTxWIDTH COUNT RESULT``
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from bisenet_ros.benchmark.frames import read_frames
from bisenet_ros.inference.result import STAGES
from bisenet_ros.ros import messages, qos

WARM_UP = 5
TIMEOUT_S = 5.0  # seconds without mask and overlay before an image counts as lost
SETTLE = 2.5  # seconds; diagnostics are published once per second


class BenchmarkCamera(Node):
    """Publishes one image at a time and waits for its mask and overlay.

    Args:
        topic: of the images.
        node: the node whose outputs it waits for, ``/name``.
    """

    def __init__(self, topic: str, node: str) -> None:
        super().__init__("benchmark_camera")
        self.arrived: dict[str, int] = {}  # output → stamp of the newest
        self.diagnostics: dict[str, dict[str, str]] = {}
        self._images = self.create_publisher(Image, topic, qos.newest())
        for output in ("mask", "overlay"):
            self.create_subscription(Image, f"{node}/{output}", self._on(output), qos.newest())
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def send(self, pixels: np.ndarray, number: int) -> float | None:
        """Milliseconds until the image's mask and overlay arrived; None if they got lost."""
        stamp = Time(sec=number, nanosec=0)
        started = time.perf_counter()
        self._images.publish(messages.to_image(Header(stamp=stamp), pixels, "bgr8"))
        while time.perf_counter() - started < TIMEOUT_S:
            if all(self.arrived.get(output) == number for output in ("mask", "overlay")):
                return 1e3 * (time.perf_counter() - started)
            rclpy.spin_once(self, timeout_sec=0.5)
        return None

    def _on(self, output: str) -> Any:
        def receive(message: Image) -> None:
            self.arrived[output] = message.header.stamp.sec

        return receive

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            kind = status.name.partition(": ")[2].split(" ")[0]  # model or camera
            self.diagnostics[kind] = {entry.key: entry.value for entry in status.values}


def measure(camera: BenchmarkCamera, size: tuple[int, int], count: int) -> dict[str, Any]:
    """Send ``count`` images after a warm-up; returns the values of a benchmark row."""
    frames = read_frames(size)
    times: list[float] = []
    lost = number = 0
    while len(times) < WARM_UP + count:
        number += 1
        data = np.frombuffer(frames.data[number % len(frames.data)], np.uint8)
        spent = camera.send(data.reshape(frames.height, frames.width, 3), number)
        if spent is not None:
            times.append(spent)
        elif times:  # before the first answer the node is still starting
            lost += 1
    _listen(camera)
    model, own = camera.diagnostics.get("model", {}), camera.diagnostics.get("camera", {})
    stages = {stage: _number(own.get(f"{stage}_ms_p50", "")) for stage in STAGES}
    return {
        "engine": model.get("engine", ""),
        "precision": model.get("precision", ""),
        "device": model.get("device", ""),
        "median_ms": median(times[WARM_UP:]),
        "best_ms": min(times[WARM_UP:]),
        "lost": lost,
        "stages": stages,
        "node_adds_ms": _added(own),
        "without_network_ms": median(times[WARM_UP:]) - (stages["forward"] or 0.0),
    }


def _added(camera: dict[str, str]) -> float | None:
    """Milliseconds per frame outside the pipeline: hand-over, decoding, publishing."""
    spent = [_number(camera.get(f"{stage}_ms_p50", "")) for stage in ("wait", "decode", "publish")]
    return None if None in spent else sum(v for v in spent if v is not None)


def _listen(camera: BenchmarkCamera) -> None:
    """Wait for the newest diagnostics."""
    until = time.monotonic() + SETTLE
    while time.monotonic() < until:
        rclpy.spin_once(camera, timeout_sec=0.1)


def _number(text: str) -> float | None:
    return float(text) if text and text != "nan" else None


def main(arguments: list[str] | None = None) -> int:
    """Measure, write the result as JSON, return 0."""
    topic, node, size, count, result = sys.argv[1:] if arguments is None else arguments
    height, width = map(int, size.split("x"))
    rclpy.init(args=[])
    camera = BenchmarkCamera(topic, node)
    try:
        figures = measure(camera, (height, width), int(count))
        Path(result).write_text(json.dumps(figures), encoding="utf-8")
    finally:
        camera.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
