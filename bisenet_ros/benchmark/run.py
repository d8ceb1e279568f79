"""The whole benchmark: rows of measurements, each paired with the usual pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch

from bisenet_ros.benchmark.cpu_load import busy_processes
from bisenet_ros.benchmark.frames import Frames, read_frames
from bisenet_ros.benchmark.pairs import PairedTimes, time_pairs
from bisenet_ros.benchmark.pipelines import (
    TimedBaseline,
    TimedPipeline,
    TimedSegmenter,
    warm_up,
)
from bisenet_ros.benchmark.projections import projection_ms
from bisenet_ros.benchmark.roofline import roofline
from bisenet_ros.checkpoints import load
from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference import Segmenter
from bisenet_ros.inference.device import choose
from bisenet_ros.inference.engines import ENGINES
from bisenet_ros.networks.layers import round_up_size
from bisenet_ros.system.machine import BackgroundLoad, describe_compute

Progress = Callable[[str], None]


@dataclass(frozen=True)
class BenchmarkPlan:
    """What to measure.

    Attributes:
        weights: a weights file.
        random: whether its weights are random; then disagreement means little.
        device, precision: as for :class:`Segmenter`.
        engines: to measure, in order.
        size: (height, width) of the network's input.
        camera: (height, width) of the camera images.
        cameras: number of cameras.
        threads: CPU threads, for both pipelines.
        usual: compare with the usual pipeline; otherwise the engine is timed alone.
        pairs: number of pairs measured after the warm-up.
        cpu_load: busy processes in a second measurement under load; 0 for none.
        projections: also time the ground grid and the points of the masks.
        floor: also measure what bounds the network's time from below.
    """

    weights: Path
    random: bool
    device: str
    precision: str
    engines: tuple[str, ...]
    size: tuple[int, int]
    camera: tuple[int, int]
    cameras: int
    threads: int
    usual: bool
    pairs: int
    cpu_load: int
    projections: bool = False
    floor: bool = True


def run(plan: BenchmarkPlan, progress: Progress) -> dict[str, Any]:
    """Measure; returns plain values, as ``--json`` writes them.

    Raises:
        ArgumentError: this machine lacks something the plan requires.
        WeightsError: the weights file is missing or broken.
    """
    torch.set_num_threads(plan.threads)
    cv2.setNumThreads(plan.threads)
    device = choose("cpu" if plan.engines == ("openvino",) else plan.device).device
    frames = read_frames(plan.camera)
    network, card = load(plan.weights)
    usual = None
    if plan.usual:
        progress("usual pipeline")
        usual = TimedBaseline(network, card, frames, plan.size, device, plan.cameras)
    rows: list[dict[str, Any]] = []
    for engine in plan.engines:
        rows += _measure(plan, engine, usual, frames, device, progress, first=not rows)
    floor = {}
    if plan.floor:
        progress("roofline")
        floor = roofline(network.to(device), round_up_size(plan.size, network.multiple), device)
    return {
        "machine": describe_compute(device, plan.threads),
        "weights": "random" if plan.random else plan.weights.name,
        "classes": len(card.labels),
        "frames": frames.source,
        "pairs": plan.pairs,
        "rows": rows,
        "floor": floor,
    }


def _measure(
    plan: BenchmarkPlan,
    engine: str,
    usual: TimedBaseline | None,
    frames: Frames,
    device: torch.device,
    progress: Progress,
    first: bool,
) -> list[dict[str, Any]]:
    """Rows of one engine; the usual pipeline's own row comes with the first."""
    progress(f"starting engine {engine}")
    started = time.perf_counter()
    segmenter = Segmenter(plan.weights, plan.device, plan.precision, engine, plan.size)
    warm_up(segmenter, plan.cameras, progress)
    seconds = time.perf_counter() - started
    ours = TimedSegmenter(segmenter, frames, plan.cameras)
    about: dict[str, Any] = {
        "engine": segmenter.engine.name,
        "precision": segmenter.compute.precision,
        "device": str(segmenter.compute.device),
        "why": segmenter.engine.why,
        "start_seconds": seconds,
        "mask_disagreement": None if usual is None else disagreement(usual, ours, frames),
    }
    rows = []
    quiet = None
    for count in (0, plan.cpu_load) if plan.cpu_load else (0,):
        under_load = f", under load ({count} processes)" if count else ""
        progress(f"{segmenter.engine.name} {segmenter.compute.precision}{under_load}")
        with busy_processes(count):
            background = BackgroundLoad()
            pairs = _pair(usual, ours, plan.pairs)
            cores = background.cores()
        common = {"busy": count, "other_cores": cores, "cameras": plan.cameras, **_sizes(plan)}
        if usual is not None and first:
            rows.append(
                {"name": f"usual{under_load}", **_usual_row(usual, pairs, device), **common}
            )
        row = {"name": f"bisenet_ros{under_load}", **about, **_row(ours, pairs.second), **common}
        row["ratio_to_usual"] = None if usual is None else pairs.ratio
        row["ratio_quarters"] = None if usual is None else list(pairs.spread)
        quiet = quiet or row["median_ms"]
        if plan.projections:
            with busy_processes(count):
                row["stages"].update(projection_ms(segmenter, frames, plan.pairs))
        row["times_quiet"] = row["median_ms"] / quiet
        rows.append(row)
    return rows


def _pair(usual: TimedBaseline | None, ours: TimedSegmenter, count: int) -> PairedTimes:
    for pipeline in (usual, ours):
        if pipeline is not None:
            pipeline.reset()
    return time_pairs(usual or (lambda index: None), ours, count)


def _row(pipeline: TimedPipeline, times: list[float]) -> dict[str, Any]:
    stages = pipeline.stages(len(times))
    without_network = sum(v for k, v in stages.items() if v is not None and k != "forward")
    return {
        "median_ms": median(times),
        "best_ms": min(times),
        "stages": stages,
        "without_network_ms": without_network,
    }


def _usual_row(usual: TimedBaseline, pairs: PairedTimes, device: torch.device) -> dict[str, Any]:
    return {
        "engine": "eager",
        "precision": "fp32",
        "device": str(device),
        **_row(usual, pairs.first),
        "ratio_to_usual": 1.0,
        "mask_disagreement": 0.0,
    }


def _sizes(plan: BenchmarkPlan) -> dict[str, str]:
    return {"size": "x".join(map(str, plan.size)), "camera": "x".join(map(str, plan.camera))}


def disagreement(usual: TimedBaseline, ours: TimedSegmenter, frames: Frames) -> float:
    """Share of all pixels whose class differs from the usual pipeline's."""
    shares = [float(np.mean(usual(i) != ours(i))) for i in range(len(frames.data))]
    return float(np.mean(shares))


def parse_engines(name: str) -> tuple[str, ...]:
    """The engines in ``--engine``: one, ``auto``, or several separated by commas."""
    names = tuple(part.strip() for part in name.split(","))
    for part in names:
        if part not in ("auto", *ENGINES):
            raise ArgumentError(f"--engine is {part!r}; expected auto, {', '.join(ENGINES)}")
    return names
