"""The whole benchmark: rows of figures, each paired with the usual pipeline."""

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

from bisenet_ros.benchmark.cpu_load import busy
from bisenet_ros.benchmark.frames import Frames, read_frames
from bisenet_ros.benchmark.pairs import Pairs, time_pairs
from bisenet_ros.benchmark.pipelines import Contestant, Ours, Usual
from bisenet_ros.benchmark.roofline import floor
from bisenet_ros.checkpoints import load
from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference import Segmenter
from bisenet_ros.inference.device import choose
from bisenet_ros.inference.engines import ENGINES
from bisenet_ros.system.machine import OtherLoad, describe

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        weights: a weights file.
        random: whether its weights are random, which disagreement is no goal for.
        device, precision: as :class:`Segmenter` takes them.
        engines: to measure, in order.
        size: (height, width) of the network's input.
        camera: (height, width) of the camera.
        cameras: how many at once.
        threads: of the CPU, for both.
        usual: compare with the usual pipeline; if not, the engine is timed alone.
        pairs: measured after the warm-up.
        contend: busy processes to measure beside, after the quiet measurement; 0 for none.
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
    contend: int


def run(plan: Plan, progress: Progress) -> dict[str, Any]:
    """Measure; returns plain values, as ``--json`` writes them.

    Raises:
        ArgumentError: this machine lacks what the plan asks for.
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
        usual = Usual(network, card, frames, plan.size, device, plan.cameras)
    rows: list[dict[str, Any]] = []
    for engine in plan.engines:
        rows += _measure(plan, engine, usual, frames, device, progress, first=not rows)
    progress("floor")
    return {
        "machine": describe(device, plan.threads),
        "weights": "random" if plan.random else plan.weights.name,
        "classes": len(card.labels),
        "frames": frames.source,
        "pairs": plan.pairs,
        "rows": rows,
        "floor": floor(network.to(device), _multiple(plan.size, network.multiple), device),
    }


def _measure(
    plan: Plan,
    engine: str,
    usual: Usual | None,
    frames: Frames,
    device: torch.device,
    progress: Progress,
    first: bool,
) -> list[dict[str, Any]]:
    """Rows of one engine; the usual pipeline's own row comes with the first."""
    progress(f"starting engine {engine}")
    started = time.perf_counter()
    segmenter = Segmenter(plan.weights, plan.device, plan.precision, engine, plan.size)
    segmenter.warm_up(plan.cameras)
    seconds = time.perf_counter() - started
    ours = Ours(segmenter, frames, plan.cameras)
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
    for count in (0, plan.contend) if plan.contend else (0,):
        beside = f", beside {count} busy" if count else ""
        progress(f"{segmenter.engine.name} {segmenter.compute.precision}{beside}")
        with busy(count):
            others = OtherLoad()
            pairs = _pair(usual, ours, plan.pairs)
            cores = others.cores()
        common = {"busy": count, "other_cores": cores, "cameras": plan.cameras, **_sizes(plan)}
        if usual is not None and first:
            rows.append({"name": f"usual{beside}", **_usual_row(usual, pairs, device), **common})
        row = {"name": f"bisenet_ros{beside}", **about, **_row(ours, pairs.second), **common}
        row["ratio_to_usual"] = None if usual is None else pairs.ratio
        row["ratio_quarters"] = None if usual is None else list(pairs.spread)
        quiet = quiet or row["median_ms"]
        row["times_quiet"] = row["median_ms"] / quiet
        rows.append(row)
    return rows


def _pair(usual: Usual | None, ours: Ours, count: int) -> Pairs:
    for contestant in (usual, ours):
        if contestant is not None:
            contestant.forget()
    return time_pairs(usual or (lambda index: None), ours, count)


def _row(contestant: Contestant, times: list[float]) -> dict[str, Any]:
    stages = contestant.stages(len(times))
    beside_network = sum(v for k, v in stages.items() if v is not None and k != "forward")
    return {
        "median_ms": median(times),
        "best_ms": min(times),
        "stages": stages,
        "without_network_ms": beside_network,
    }


def _usual_row(usual: Usual, pairs: Pairs, device: torch.device) -> dict[str, Any]:
    return {
        "engine": "eager",
        "precision": "fp32",
        "device": str(device),
        **_row(usual, pairs.first),
        "ratio_to_usual": 1.0,
        "mask_disagreement": 0.0,
    }


def _sizes(plan: Plan) -> dict[str, str]:
    return {"size": "x".join(map(str, plan.size)), "camera": "x".join(map(str, plan.camera))}


def disagreement(usual: Usual, ours: Ours, frames: Frames) -> float:
    """Share of pixels of all frames whose class is not the usual pipeline's."""
    wrong = [float(np.mean(usual(i) != ours(i))) for i in range(len(frames.data))]
    return float(np.mean(wrong))


def engines_of(name: str) -> tuple[str, ...]:
    """The engines that ``--engine`` names: one, ``auto``, or several with commas between."""
    names = tuple(part.strip() for part in name.split(","))
    for part in names:
        if part not in ("auto", *ENGINES):
            raise ArgumentError(f"--engine is {part!r}; expected auto, {', '.join(ENGINES)}")
    return names


def _multiple(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    return -(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple
