"""Measures the node end to end: camera message in, mask and overlay out, over DDS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bisenet_ros.system.environment import ros_environment
from bisenet_ros.system.subprocesses import Child, Executable, wait_until

if TYPE_CHECKING:
    from bisenet_ros.benchmark.run import BenchmarkPlan

NODE = "benchmarked"
TOPIC = "/benchmark/image_raw"
TIMEOUT_S = 600.0  # seconds; an engine may have to compile first


def measure(
    plan: BenchmarkPlan,
    engine: str,
    folder: Path,
    usual_ms: float | None,
    executable: Executable,
) -> dict[str, Any]:
    """Measure the node with one engine; returns its row.

    The node and a camera run in separate processes. The camera measures from just before it
    publishes an image until both mask and overlay have arrived. One image is in flight at a time.

    Args:
        plan: sizes, weights, threads and number of images.
        engine: one of ``ENGINES`` or ``auto``.
        folder: for the processes' logs.
        usual_ms: the usual pipeline's median, without ROS; None if it was not measured.
        executable: gives the command line of the package's ROS programs.

    Raises:
        ChildError: the node or the camera failed; the message is its own error line.
    """
    environment = ros_environment()
    log = folder / f"dds-{engine}"
    result = log.with_suffix(".json")
    node = [*executable("segmentation_node"), *_parameters(plan, engine)]
    camera = [
        *executable("benchmark_camera"),
        *(TOPIC, f"/{NODE}", "x".join(map(str, plan.camera)), str(plan.pairs), str(result)),
    ]
    with (
        Child("segmentation_node", node, log.with_suffix(".node"), environment) as server,
        Child("benchmark_camera", camera, log.with_suffix(".camera"), environment) as client,
    ):
        _wait(client, server)
    measured = json.loads(result.read_text(encoding="utf-8"))
    return {
        "name": "bisenet_ros, over DDS",
        **measured,
        "ratio_to_usual": None if usual_ms is None else usual_ms / measured["median_ms"],
        "mask_disagreement": None,
        "size": "x".join(map(str, plan.size)),
        "camera": "x".join(map(str, plan.camera)),
        "cameras": 1,
    }


def _wait(client: Child, server: Child) -> None:
    """Wait until the camera is done; ChildError if either fails or the node exits."""
    wait_until(lambda: client.ended, [server], TIMEOUT_S, "mask and overlay arrived")


def _parameters(plan: BenchmarkPlan, engine: str) -> list[str]:
    values = {
        "weights": str(plan.weights.absolute()),
        "image_topic": TOPIC,
        "rate": 0.0,
        "device": plan.device,
        "precision": plan.precision,
        "engine": engine,
        "threads": plan.threads,
        "input_height": plan.size[0],
        "input_width": plan.size[1],
        "any_input_size": "true",
    }
    assigned = [part for name, value in values.items() for part in ("-p", f"{name}:={value}")]
    return ["--ros-args", "-r", "__ns:=/", "-r", f"__node:={NODE}", *assigned]
