"""Run a model over a recording and log everything about it to Rerun."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bisenet_ros.recordings.frame_stream import FrameSource, RecordedFrame
from bisenet_ros.replay.frame_scores import FIGURES
from bisenet_ros.replay.predictor import Prediction, Predictor
from bisenet_ros.replay.score import Run, ScoreOptions, score
from bisenet_ros.report.rerun import RerunLog


def show_recording(
    source: FrameSource,
    predictor: Predictor,
    options: ScoreOptions,
    log: RerunLog,
    on_progress: Callable[[int], None] | None = None,
) -> Run:
    """Score a recording, and log each frame with its figures; see ``score`` for the errors.

    Flicker is that of the frame before, since it takes the frame after to tell.
    """
    last = time.perf_counter()

    def on_row(frame: RecordedFrame, found: Prediction, row: dict[str, Any]) -> None:
        nonlocal last
        now = time.perf_counter()
        figures = {name: row[name] for name in FIGURES}
        figures["flicker"] = row["before"].get("flicker")
        figures["fps"] = 1 / max(1e-6, now - last)
        last = now
        log.add(
            frame.index,
            frame.stamp_ns,
            frame.image,
            frame.order,
            found.mask,
            found.confidence,
            frame.truth,
            figures,
        )

    return score(source, predictor, options, None, on_progress, on_row).run
