"""``evaluate`` on many recordings: on this machine, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bisenet_ros.cli.terminal import INTERRUPTED, interruptible
from bisenet_ros.errors import BarNotMet, DataError
from bisenet_ros.report.formatting import number, percent

if TYPE_CHECKING:
    from rich.console import Console

    from bisenet_ros.cli.evaluate_recordings import Asked
    from bisenet_ros.replay.many import Outcome, RecordingTask


def score_many(asked: Asked, console: Console) -> None:
    """Score every recording, write its folder, and a summary next to them."""
    from bisenet_ros.replay import many
    from bisenet_ros.replay.outputs import cannot_write, write_metrics
    from bisenet_ros.report.summary import render
    from bisenet_ros.system.atomic_files import make_folder, write_bytes, write_json

    out = make_folder(asked.out, "--report")
    work = many.tasks(asked.names, asked.models[0], asked.options, asked.facts)
    outcomes: list[Outcome] = []
    with interruptible():
        interrupted = False
        try:
            for outcome in _outcomes(asked, work, out):
                outcomes.append(outcome)
                _print_outcome(outcome, len(outcomes), len(work), console)
        except KeyboardInterrupt:
            interrupted = True
        interrupted |= any(outcome.interrupted for outcome in outcomes)
        if interrupted and all(outcome.metrics is None for outcome in outcomes):
            raise KeyboardInterrupt  # there is nothing to keep
        facts = {**asked.facts, "weights": _weights_name(asked)}
        summary = many.summarise(outcomes, len(work), facts)
        summary["partial"] |= interrupted
        write_metrics(out / "metrics.json", summary)
        try:
            write_bytes(out / "report.html", render(summary).encode())
        except OSError as error:
            raise cannot_write(out / "report.html", error) from error
        if asked.values["json"] is not None:
            write_json(asked.values["json"], summary)
    console.print(f"mIoU over all labelled pixels: {percent(summary['miou'], 2)}", highlight=False)
    console.print(str(out / "report.html"), highlight=False, markup=False, soft_wrap=True)
    if summary["partial"]:
        console.print("interrupted: what was scored is kept, and marked as partial")
        raise typer.Exit(INTERRUPTED)
    _check(asked, summary)


def _outcomes(asked: Asked, work: list[RecordingTask], out: Path) -> Iterator[Outcome]:
    from bisenet_ros.replay import many

    if asked.values["ray"]:
        from bisenet_ros.replay.ray_cluster import score_on_ray

        return score_on_ray(work, out, asked.values["ray"], asked.values["workers"])
    if asked.values["workers"] > 1:
        return many.score_in_processes(work, out, asked.values["workers"])
    return many.score_here(work, out)


def _print_outcome(outcome: Outcome, done: int, total: int, console: Console) -> None:
    figures = outcome.figures
    if outcome.error is not None:
        text = f"error: {outcome.error}"
    else:
        text = (
            f"mIoU {percent(figures['miou'])}, temporal consistency "
            f"{percent(figures['temporal_consistency'])}, {figures['frames']} frames, "
            f"{number(figures['frames_per_s'])} frames/s"
        )
    console.print(f"{done}/{total} {outcome.task.folder}: {text}", highlight=False, markup=False)


def _weights_name(asked: Asked) -> str:
    path = asked.models[0].weights
    return "the shipped weights" if path is None else path.name


def _check(asked: Asked, summary: dict[str, Any]) -> None:
    if summary["failed"]:
        first = next(row for row in summary["recordings"] if row["error"] is not None)
        raise DataError(
            f"{summary['failed']} of {summary['asked']} recordings could not be scored; "
            f"{first['recording']}: {first['error']}"
        )
    least = asked.values["min_miou"]
    if least is None:
        return
    if summary["miou"] is None:
        raise DataError("no recording has labelled pixels, so --min-miou has nothing to judge")
    if summary["miou"] < least:
        raise BarNotMet(
            f"{summary['scored']} recordings score {summary['miou']:.4f} mIoU together; "
            f"--min-miou requires at least {least:g}"
        )
