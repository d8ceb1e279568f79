"""Compare two models on the same frames, and leave a page that shows where they differ."""

from __future__ import annotations

import csv
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bisenet_ros.errors import ArgumentError, BarNotMet
from bisenet_ros.recordings.frame_stream import FrameSource, read_chosen
from bisenet_ros.replay.compare import Comparison, compare
from bisenet_ros.replay.evaluation import (
    FRAMES,
    METRICS,
    PAGE,
    Listeners,
    columns,
    note_lines,
    require_truth,
)
from bisenet_ros.replay.model import inference_facts, weights_facts
from bisenet_ros.replay.outputs import cannot_write, replaced, write_metrics
from bisenet_ros.replay.predictor import SegmenterPredictor
from bisenet_ros.replay.score import ScoreOptions
from bisenet_ros.report.comparison import ComparedFrame, ComparisonReportData, render
from bisenet_ros.report.formatting import percent
from bisenet_ros.report.pictures import Tile, difference_map, flat, photo, present
from bisenet_ros.system.atomic_files import staged, write_bytes
from bisenet_ros.system.machine import describe


def compare_models(
    source: FrameSource,
    first: SegmenterPredictor,
    second: SegmenterPredictor,
    options: ScoreOptions,
    out: Path,
    facts: dict[str, Any] | None = None,
    listeners: Listeners | None = None,
) -> dict[str, Any]:
    """Compare two models and write metrics.json, frames.csv and report.html.

    Arguments, result and errors as of
    :func:`bisenet_ros.replay.evaluation.evaluate_recording`; the source stays open.

    Raises:
        ArgumentError: the models do not have the same classes.
    """
    listeners = listeners or Listeners()
    if source.live:
        raise ArgumentError(f"{source.name} is live; two models are compared on a recording")
    if listeners.on_start is not None:
        listeners.on_start(options.selection.expected(source))
    with staged(out, "--report") as scratch:
        results = scratch / "results"
        found = compare(source, first, second, options, on_progress=listeners.on_progress)
        if not found.run.frames:
            raise KeyboardInterrupt  # before the first frame: there is nothing to keep
        metrics = {
            **found.figures(),
            "min_miou": None,
            "fail_if_worse": None,
            "command": "",
            "weights": [
                weights_facts(model.segmenter.weights, model.segmenter.card)
                for model in (first, second)
            ],
            "scored_with": [inference_facts(model.segmenter) for model in (first, second)],
            "machine": describe(),
            **(facts or {}),
        }
        if listeners.on_scored is not None:
            listeners.on_scored(metrics)
        write_metrics(results / METRICS, metrics)
        _write_rows(results / FRAMES, found)
        page = _page(source, first, second, found, metrics)
        try:
            write_bytes(results / PAGE, page.encode())
        except OSError as error:
            raise cannot_write(out / PAGE, error) from error
    return metrics


def check_bars(metrics: dict[str, Any], min_miou: float | None, worse: float | None) -> None:
    """Hold the second model against the bars.

    Args:
        metrics: of :func:`compare_models`.
        min_miou: the lowest mIoU, 0–1; None for any.
        worse: percentage points of mIoU the second may lose against the first; None for any.

    Raises:
        BarNotMet: it misses one.
        DataError: there is no truth.
    """
    for asked, option in ((min_miou, "--min-miou"), (worse, "--fail-if-worse")):
        if asked is not None:
            require_truth({**metrics["second"], "source": metrics["source"]}, option)
    names = [weights["file"] for weights in metrics["weights"]]
    second = metrics["second"]["miou"]
    if min_miou is not None and second < min_miou:
        raise BarNotMet(
            f"{names[1]} scores {second:.4f} mIoU; --min-miou requires at least {min_miou:g}"
        )
    if worse is None:
        return
    change = metrics["difference"]["miou"]
    points = 100 * change["difference"]
    if points < -worse:
        interval = ""
        if change["low"] is not None:
            interval = f", 95 % interval {100 * change['low']:+.2f} to {100 * change['high']:+.2f}"
        raise BarNotMet(
            f"{names[1]} is {-points:.2f} points of mIoU worse than {names[0]}{interval}; "
            f"--fail-if-worse allows {worse:g}"
        )


def _write_rows(path: Path, found: Comparison) -> None:
    try:
        with replaced(path) as file:
            writer: csv.DictWriter[str] | None = None
            for place in range(len(found.first.records)):
                row = found.row(place)
                if writer is None:
                    writer = csv.DictWriter(file, list(row))
                    writer.writeheader()
                writer.writerow(row)
    except OSError as error:
        raise cannot_write(path, error) from error


def _page(
    source: FrameSource,
    first: SegmenterPredictor,
    second: SegmenterPredictor,
    found: Comparison,
    metrics: dict[str, Any],
) -> str:
    places = found.most_different()
    index = found.first.records.column("index")
    by_index = {int(index[place]): place for place in places}
    labels = first.labels
    shown: dict[int, ComparedFrame] = {}
    seen: set[int] = set()
    with closing(read_chosen(source, set(by_index))) as frames:
        for frame in frames:
            place = by_index[frame.index]
            rgb = frame.image
            if frame.order != "rgb":
                rgb = cv2.cvtColor(rgb, cv2.COLOR_BGR2RGB)
            one, other = (model([frame.image], [frame.order])[0].mask for model in (first, second))
            truth = [] if frame.truth is None else [("Truth", flat(frame.truth, labels))]
            differences = difference_map(rgb, frame.truth, one, other)
            tiles: list[Tile] = [
                ("Camera", photo(rgb)),
                *truth,
                ("A", flat(one, labels)),
                ("B", flat(other, labels)),
                ("Difference", photo(differences)),
            ]
            row = found.row(place)
            shown[place] = ComparedFrame(row["name"] or f"Frame {place}", _figures(row), tiles)
            seen |= present(frame.truth, one, other)
    data = ComparisonReportData(
        metrics=metrics,
        labels=labels,
        first=columns(found.first.records),
        second=columns(found.second.records),
        apart=np.asarray(found.apart),
        shown=[shown[place] for place in places if place in shown],
        seen=seen,
        warnings=note_lines(metrics["notes"]),
        timed=source.timed,
    )
    return render(data)


def _figures(row: dict[str, Any]) -> str:
    parts = []
    if row["first_miou"] is not None:
        parts.append(f"mIoU {percent(row['first_miou'])} → {percent(row['second_miou'])}")
        parts.append(f"{row['gained']:,} pixels gained, {row['lost']:,} lost")
    parts.append(f"{percent(row['different_pixels'])} of the pixels differ")
    return " · ".join(parts)
