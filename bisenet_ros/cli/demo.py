"""``python -m bisenet_ros demo``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bisenet_ros.cli.options import Device, Weights
from bisenet_ros.cli.terminal import class_table, figure_table, interruptible, progress
from bisenet_ros.errors import ArgumentError, BarNotMet, DataError
from bisenet_ros.report.formatting import percent
from bisenet_ros.system.share import SAMPLE_BAG, sample_bag

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = {"iou": "IoU", "precision": "precision", "recall": "recall", "share": "share"}


def demo(
    out: Annotated[Path, typer.Option(help="output folder: report, video, picture")] = Path(
        "out/demo"
    ),
    bag: Annotated[
        Path | None,
        typer.Option(help=f"bag with camera images and labels; default: {SAMPLE_BAG}"),
    ] = None,
    weights: Weights = None,
    rate: Annotated[float, typer.Option(help="playback rate in Hz")] = 15.0,
    device: Device = "auto",
    json: Annotated[Path | None, typer.Option(help="also write metrics.json to this file")] = None,
) -> None:
    """Play a bag through the real node over DDS, score the masks and write a report."""
    from rich.console import Console

    from bisenet_ros.system.atomic_files import check_writable

    if not (math.isfinite(rate) and 0 < rate <= 1000):
        raise ArgumentError(f"--rate is {rate:g}; expected more than 0 and at most 1000 Hz")
    if weights is not None and not weights.is_file():
        raise DataError(
            f"--weights {weights} is not a file; weights/README.md lists the shipped ones"
        )
    if json is not None:
        check_writable(json, "--json")
    console = Console()
    with interruptible():
        metrics = _run(out, bag or _sample_bag(), weights, rate, device, json, console)
    classes = class_table(metrics["per_class"], COLUMNS)
    console.print("", figure_table(_figures(metrics)), "", classes, "", sep="\n")
    console.print(
        f"{out / 'report.html'}, {out / 'overlay.mp4'}, {out / 'overlay.png'}", markup=False
    )
    if metrics["problems"]:
        raise BarNotMet("; ".join(metrics["problems"]))


def _sample_bag() -> Path:
    """The sample drive; DataError in an installed package, which does not hold it."""
    bag = sample_bag()
    if bag is None:
        raise DataError(
            f"the sample drive is part of the source checkout ({SAMPLE_BAG}), not of the installed "
            "package; pass --bag PATH, or run the demo in a checkout"
        )
    return bag


def _run(
    out: Path,
    bag: Path,
    weights: Path | None,
    rate: float,
    device: str,
    json: Path | None,
    console: Console,
) -> dict[str, Any]:
    """Play, score, write the outputs; returns the metrics."""
    from bisenet_ros.cli.executables import ros_executable
    from bisenet_ros.demo import metrics as demo_metrics
    from bisenet_ros.demo import pipeline
    from bisenet_ros.demo.outputs import show
    from bisenet_ros.recordings.labelled_bag import Drive
    from bisenet_ros.system.atomic_files import staged, write_json

    drive = Drive.open(bag, pipeline.IMAGE_TOPIC, pipeline.LABELS_TOPIC)
    plan = pipeline.DemoPlan(bag, rate, weights, device)
    with staged(out, "--out") as scratch:
        with progress(console, drive.frames, "masks") as on_progress:
            played = pipeline.play(plan, scratch, on_progress, ros_executable)
            on_progress("writing the report", None)
            metrics = demo_metrics.metrics(plan, drive, played)
            if not metrics["masks"]:
                raise BarNotMet("; ".join(metrics["problems"]))
            results = scratch / "results"
            write_json(results / "metrics.json", metrics)
            show(metrics, drive, played, results)
        if json is not None:
            write_json(json, metrics)
    return metrics


def _figures(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    def figure(key: str, unit: str) -> str:
        return "–" if metrics[key] is None else f"{metrics[key]:.1f} {unit}"

    return [
        ("mIoU", percent(metrics["miou"])),
        ("pixel accuracy", percent(metrics["pixel_accuracy"])),
        ("masks", f"{metrics['masks']} of {metrics['frames_played']} frames"),
        ("published", _whole(metrics["published"])),
        ("scored", str(metrics["scored"])),
        ("superseded", _whole(metrics["superseded"])),
        ("rejected", _whole(metrics["rejected"])),
        ("output", figure("output_fps", "masks/s")),
        ("age, median", figure("age_ms_p50", "ms")),
        ("age, p95", figure("age_ms_p95", "ms")),
    ]


def _whole(value: int | None) -> str:
    return "–" if value is None else str(value)
