"""``python -m bisenet_ros replay``, and what ``demo`` shares with it."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bisenet_ros.cli.options import (
    Device,
    ImageTopic,
    LabelColors,
    LabelTopic,
    MaxDt,
    MinMiou,
    Precision,
    Weights,
)
from bisenet_ros.cli.terminal import (
    INTERRUPTED,
    FrameProgress,
    command_line,
    figure_table,
    interruptible,
    progress,
)
from bisenet_ros.errors import ArgumentError, BarNotMet

if TYPE_CHECKING:
    from rich.console import Console

    from bisenet_ros.demo.pipeline import LivePlan, Played
    from bisenet_ros.replay.evaluation import RecordingOptions

FASTEST = 1000  # Hz, and times as fast as recorded


@dataclass(frozen=True)
class LiveRun:
    """A run of a bag through the real node.

    Attributes:
        bag: any bag that ``evaluate`` reads.
        out: folder of the report.
        options: how the masks are scored.
        playing: further fields of ``demo.pipeline.LivePlan``: rate, rate_factor, weights, device,
            node.
        facts: further content of metrics.json: ``command``, ``min_miou``.
        json: where metrics.json is written to as well.
    """

    bag: Path
    out: Path
    options: RecordingOptions
    playing: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    json: Path | None = None


def replay(
    context: typer.Context,
    bag: Annotated[
        Path, typer.Argument(help="bag to play: rosbag2 folder, .mcap or .db3, or a ROS 1 .bag")
    ],
    out: Annotated[
        Path | None, typer.Option(help="output folder; default: out/replay/NAME")
    ] = None,
    rate_factor: Annotated[
        float,
        typer.Option(help="playback speed; 1: as recorded, 0: as fast as every frame is served"),
    ] = 1.0,
    rate: Annotated[
        float | None,
        typer.Option(help="frames per second, under new stamps; default: as recorded"),
    ] = None,
    weights: Weights = None,
    device: Device = "auto",
    engine: Annotated[str, typer.Option(help="inference engine of the node")] = "auto",
    precision: Precision = "auto",
    image_topic: ImageTopic = None,
    label_topic: LabelTopic = None,
    label_colors: LabelColors = None,
    max_dt: MaxDt = 0.0,
    min_miou: MinMiou = None,
    json: Annotated[Path | None, typer.Option(help="also write metrics.json to this file")] = None,
) -> None:
    """Play a bag through the real node over DDS and score it as evaluate --bag does."""
    from bisenet_ros.cli import recording_options as shared
    from bisenet_ros.replay.evaluation import RecordingOptions, require_truth

    if not (math.isfinite(rate_factor) and 0 <= rate_factor <= FASTEST):
        raise ArgumentError(f"--rate-factor is {rate_factor:g}; expected 0 to {FASTEST}")
    if rate is not None and rate_factor != 1:
        raise ArgumentError("--rate and --rate-factor were both given; pass one of them")
    playing = {
        "rate": rate,
        "rate_factor": rate_factor,
        "weights": weights,
        "device": device,
        "node": (("engine", engine), ("precision", precision)),
    }
    metrics = play_and_score(
        LiveRun(
            bag,
            shared.output_folder(out, "replay", str(bag)),
            RecordingOptions(image_topic, label_topic, label_colors, max_dt),
            playing,
            {"command": command_line(context), "min_miou": min_miou},
            json,
        )
    )
    if min_miou is not None and require_truth(metrics, "--min-miou") < min_miou:
        raise BarNotMet(
            f"the node scores {metrics['miou']:.4f} mIoU on {metrics['labelled_frames']} labelled "
            f"frames; --min-miou requires at least {min_miou:g}"
        )
    if metrics["live"]["problems"]:
        raise BarNotMet("; ".join(metrics["live"]["problems"]))


def play_and_score(run: LiveRun) -> dict[str, Any]:
    """Play, score the masks as a model, write the report; returns the content of metrics.json.

    Raises:
        ArgumentError: an option is out of range, or a folder cannot be written.
        BarNotMet: not one mask came.
        DataError: the bag cannot be read, or its topics cannot be told apart.
        ChildError: a process could not start or failed.
        typer.Exit: interrupted; while the masks were scored, what was scored is kept.
    """
    from rich.console import Console

    from bisenet_ros.cli.recording_options import existing_weights
    from bisenet_ros.demo.pipeline import LivePlan
    from bisenet_ros.recordings.bag_frames import BagFrames, BagOptions
    from bisenet_ros.system.atomic_files import check_writable, staged, write_json

    rate = run.playing.get("rate")
    if rate is not None and not (math.isfinite(rate) and 0 < rate <= FASTEST):
        raise ArgumentError(f"--rate is {rate:g}; expected more than 0 and at most {FASTEST} Hz")
    existing_weights(run.playing.get("weights"))
    if run.json is not None:
        check_writable(run.json, "--json")
    console = Console()
    with interruptible(), staged(run.out, "--out") as scratch:
        # Found as ``evaluate`` finds it.
        with closing(BagFrames(run.bag, BagOptions(run.options.image_topic))) as frames:
            plan = LivePlan(run.bag, frames.images.name, **run.playing)
            played = _play(plan, frames, scratch, console)
        metrics = _score(run, plan, played, console)
        if run.json is not None:
            write_json(run.json, metrics)
    console.print(str(run.out / "report.html"), highlight=False, markup=False, soft_wrap=True)
    if metrics["partial"]:
        console.print("interrupted: what was scored is kept, and marked as partial")
        raise typer.Exit(INTERRUPTED)
    return metrics


def _play(plan: LivePlan, frames: Any, scratch: Path, console: Console) -> Played:
    from bisenet_ros.cli.executables import ros_executable
    from bisenet_ros.demo import pipeline
    from bisenet_ros.recordings.playable import playable

    with progress(console, frames.images.messages, "masks") as on_progress:
        on_progress("reading the bag", 0)
        bag = playable(frames, scratch)
        return pipeline.play(replace(plan, bag=bag), scratch, on_progress, ros_executable)


def _score(run: LiveRun, plan: LivePlan, played: Played, console: Console) -> dict[str, Any]:
    from bisenet_ros.cli.evaluate_recordings import show
    from bisenet_ros.cli.recording_options import bag_name, print_notes
    from bisenet_ros.demo.metrics import ages_ms, live_figures
    from bisenet_ros.demo.outputs import LiveExtras
    from bisenet_ros.replay.evaluation import Listeners, evaluate_source
    from bisenet_ros.replay.model import weights_facts
    from bisenet_ros.replay.served import RecordedMasks, ServedFrames
    from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file

    live, served = live_figures(plan, played), played.served
    if not served:
        raise BarNotMet("; ".join(live["problems"]))
    labels, model = played.recording.label_set(), live["model"]
    facts = {
        "live": live,
        "weights": weights_facts(plan.weights or share_file(SHIPPED_WEIGHTS)),
        "scored_with": {
            key: model[key]
            for key in ("engine", "device", "precision", "input_size")
            if key in model
        },
        **run.facts,
    }
    ages = {} if live["age_ms_p50"] is None else ages_ms(played)
    extras = LiveExtras(bag_name(str(run.bag)), labels, live["problems"], ages)
    with (
        closing(run.options.open(str(run.bag), labels)) as source,
        FrameProgress(console, "scoring") as bar,
    ):

        def on_scored(metrics: dict[str, Any]) -> None:
            bar.stop()
            show(metrics, console)
            console.print(figure_table(_live_figures(live)), "", sep="\n")
            print_notes(metrics["notes"])

        return evaluate_source(
            ServedFrames(source, served),
            RecordedMasks(played.recording, served, labels),
            run.options.score,
            run.out,
            facts,
            Listeners(bar.start, bar, on_scored),
            extras,
        )


def _live_figures(live: dict[str, Any]) -> list[tuple[str, str]]:
    def figure(key: str, unit: str = "") -> str:
        value = live[key]
        if value is None:
            return "–"
        return f"{value:.1f} {unit}" if unit else str(value)

    return [
        ("masks", f"{live['masks']} of {live['frames_played']} frames"),
        ("published", figure("published")),
        ("superseded", figure("superseded")),
        ("rejected", figure("rejected")),
        ("output", figure("output_fps", "masks/s")),
        ("age, median", figure("age_ms_p50", "ms")),
        ("age, p95", figure("age_ms_p95", "ms")),
    ]
