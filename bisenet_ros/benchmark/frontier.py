"""Accuracy against time: each model timed in turn with a reference, and scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch

from bisenet_ros.benchmark.frames import Frames, read_frames
from bisenet_ros.benchmark.pairs import time_pairs
from bisenet_ros.benchmark.pipelines import TimedSegmenter, warm_up
from bisenet_ros.checkpoints import load
from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference import Segmenter
from bisenet_ros.inference.engines import ENGINES
from bisenet_ros.inference.export.reader import IR, ONNX, is_exported
from bisenet_ros.inference.export.writer import write
from bisenet_ros.networks.layers import round_up_size
from bisenet_ros.system.machine import BackgroundLoad, describe_compute

Size = tuple[int, int]
Progress = Callable[[str], None]
# Images (height, width, 3) uint8 RGB of a size, to calibrate int8 with.
Examples = Callable[[Size], Sequence[np.ndarray]]


@dataclass(frozen=True)
class FrontierPlan:
    """What to measure.

    Attributes:
        files: weights files and exported models, each a row.
        reference: the model that all are timed in turn with.
        int8: also quantise every weights file, each another row.
        device, precision, engine: of weights files, as for :class:`Segmenter`.
        size: (height, width) of the input that weights files are timed at.
        score_size: that they are scored at; None for their own. Exported models have one size.
        camera: (height, width) of the camera images.
        threads: CPU threads.
        pairs: measured pairs after the warm-up.
    """

    files: tuple[Path, ...]
    reference: Path
    int8: bool
    device: str
    precision: str
    engine: str
    size: Size
    score_size: Size | None
    camera: Size
    threads: int
    pairs: int


@dataclass(frozen=True)
class Candidate:
    """One row to be.

    Attributes:
        name: of the row.
        weights: the file it is of.
        timed, scored: the file to time and the one to score: exports have one size each.
        size, score_size: (height, width) of their inputs; None for the file's own.
        engine, precision: as for :class:`Segmenter`.
    """

    name: str
    weights: Path
    timed: Path
    scored: Path
    size: Size | None
    score_size: Size | None
    engine: str = "auto"
    precision: str = "auto"


def candidates(
    plan: FrontierPlan, folder: Path, examples: Examples | None, progress: Progress
) -> list[Candidate]:
    """The rows to be, in the order of the files; int8 models are written to ``folder``.

    Args:
        plan: what to measure.
        folder: for files that are needed only meanwhile.
        examples: to calibrate int8 with; required if the plan has int8.
        progress: called with what is being done.

    Raises:
        WeightsError: a file is missing or broken.
        ArgumentError: two rows would have one name, or a package is not installed.
    """
    found = []
    for number, path in enumerate(plan.files):
        if is_exported(path):
            found.append(Candidate(path.name, path, path, path, None, None))
            continue
        sizes = plan.size, plan.score_size
        found.append(Candidate(path.stem, path, path, path, *sizes, plan.engine, plan.precision))
        if plan.int8:
            assert examples is not None
            progress(f"quantising {path.name}")
            found.append(_quantised(plan, path, folder / str(number), examples))
    names = [candidate.name for candidate in found]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise ArgumentError(f"two models are called {repeated}; pass each once, rename one")
    return found


def _quantised(plan: FrontierPlan, path: Path, folder: Path, examples: Examples) -> Candidate:
    """The int8 row of a weights file: one export to time, and one to score at another size."""
    network, card = load(path)
    folder.mkdir()
    suffix = IR if ENGINES["openvino"].installed else ONNX
    files: dict[Size, Path] = {}
    for size in (plan.size, plan.score_size or card.resolution):
        fitted = round_up_size(size, network.input_step)
        if fitted not in files:
            files[fitted] = folder / f"{fitted[0]}x{fitted[1]}{suffix}"
            write(files[fitted], network, card, fitted, examples(fitted))
    timed, *other = files.values()
    return Candidate(f"{path.stem} int8", path, timed, [timed, *other][-1], None, None)


def time_rows(plan: FrontierPlan, rows: Sequence[Candidate], progress: Progress) -> dict[str, Any]:
    """Time every row in turn with the reference, camera frame to mask.

    Returns:
        ``machine``, ``reference`` and ``rows`` as JSON values. A row has ``median_ms`` and
        ``ratio_to_reference``, the median over the pairs of its time divided by the reference's,
        with its quartiles.
    """
    torch.set_num_threads(plan.threads)
    cv2.setNumThreads(plan.threads)
    frames = read_frames(plan.camera)
    progress(f"starting {plan.reference.name}")
    exported = is_exported(plan.reference)
    own: tuple[str, str, Size | None] = (plan.precision, plan.engine, plan.size)
    reference = Segmenter(
        plan.reference, plan.device, *(("auto", "auto", None) if exported else own)
    )
    warm_up(reference, 1, progress)
    measured = [_time(row, reference, plan, frames, progress) for row in rows]
    times = [row["reference_ms"] for row in measured]
    return {
        "machine": describe_compute(reference.compute.device, plan.threads),
        "reference": {
            "weights": plan.reference.name,
            "median_ms": median(times),
            **_about(reference),
        },
        "camera": _text(plan.camera),
        "frames": frames.source,
        "pairs": plan.pairs,
        "rows": measured,
    }


def _time(
    row: Candidate, reference: Segmenter, plan: FrontierPlan, frames: Frames, progress: Progress
) -> dict[str, Any]:
    progress(f"starting {row.name}")
    segmenter = Segmenter(row.timed, plan.device, row.precision, row.engine, row.size)
    warm_up(segmenter, 1, progress)
    progress(f"timing {row.name}")
    background = BackgroundLoad()
    ours, theirs = (
        TimedSegmenter(each, frames, 1, overlay=False) for each in (segmenter, reference)
    )
    pairs = time_pairs(ours, theirs, plan.pairs)
    return {
        "name": row.name,
        "weights": row.weights.name,
        **_about(segmenter),
        "median_ms": median(pairs.first),
        "reference_ms": median(pairs.second),
        "ratio_to_reference": pairs.ratio,
        "ratio_quarters": list(pairs.spread),
        "speed_up": 1 / pairs.ratio,
        "other_cores": background.cores(),
        "miou": None,
        "score_size": None,
    }


def _about(segmenter: Segmenter) -> dict[str, str]:
    return {
        "engine": segmenter.engine.name,
        "precision": segmenter.compute.precision,
        "device": str(segmenter.compute.device),
        "size": _text(segmenter.input_size),
    }


def mark_frontier(rows: list[dict[str, Any]]) -> None:
    """Write ``on_frontier`` into each row: no other row is at least as fast and as accurate.

    Rows without a score are not on it.
    """
    for row in rows:
        row["on_frontier"] = row["miou"] is not None and not any(
            _beats(other, row) for other in rows if other["miou"] is not None
        )


def _beats(other: dict[str, Any], row: dict[str, Any]) -> bool:
    faster = other["ratio_to_reference"] - row["ratio_to_reference"]
    better = row["miou"] - other["miou"]
    return faster <= 0 and better <= 0 and (faster < 0 or better < 0)


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
