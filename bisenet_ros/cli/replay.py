"""``python -m bisenet_ros replay``."""

from __future__ import annotations

import math
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bisenet_ros.cli.options import Device, LabelColors, MaxDt, MinMiou, Precision, Weights
from bisenet_ros.cli.terminal import FrameProgress, command_line, interruptible, progress
from bisenet_ros.errors import ArgumentError, BarNotMet, DataError

if TYPE_CHECKING:
    from rich.console import Console

    from bisenet_ros.demo.pipeline import DemoPlan, Played
    from bisenet_ros.replay.evaluation import RecordingOptions


def replay(
    context: typer.Context,
    bag: Annotated[Path, typer.Argument(help="rosbag2 to play: folder, .mcap or .db3")],
    out: Annotated[
        Path | None, typer.Option(help="output folder; default: out/replay/NAME")
    ] = None,
    rate_factor: Annotated[
        float,
        typer.Option(help="playback speed; 1: as recorded, 0: as fast as every frame is served"),
    ] = 1.0,
    weights: Weights = None,
    device: Device = "auto",
    engine: Annotated[str, typer.Option(help="inference engine of the node")] = "auto",
    precision: Precision = "auto",
    image_topic: Annotated[
        str | None, typer.Option(help="image topic of the bag; default: the only camera")
    ] = None,
    label_topic: Annotated[
        str | None, typer.Option(help="label topic of the bag; default: the only one; '': none")
    ] = None,
    label_colors: LabelColors = None,
    max_dt: MaxDt = 0.0,
    min_miou: MinMiou = None,
    json: Annotated[Path | None, typer.Option(help="also write metrics.json to this file")] = None,
) -> None:
    """Play a bag through the real node over DDS and score it as evaluate --bag does."""
    from rich.console import Console

    from bisenet_ros.cli import recording_options as shared
    from bisenet_ros.demo.pipeline import DemoPlan
    from bisenet_ros.replay.evaluation import RecordingOptions, require_truth
    from bisenet_ros.system.atomic_files import check_writable, write_json

    if not (math.isfinite(rate_factor) and 0 <= rate_factor <= 1000):
        raise ArgumentError(f"--rate-factor is {rate_factor:g}; expected 0 to 1000")
    shared.existing_weights(weights)
    if json is not None:
        check_writable(json, "--json")
    options = RecordingOptions(image_topic, label_topic, label_colors, max_dt)
    folder = shared.output_folder(out, "replay", str(bag))
    facts = {"command": command_line(context), "min_miou": min_miou}
    node = (("engine", engine), ("precision", precision))
    with interruptible():
        topic, expected = _camera(bag, image_topic)
        plan = DemoPlan(
            bag,
            rate=None,
            weights=weights,
            device=device,
            rate_factor=rate_factor,
            image_topic=topic,
            labels_topic=None,
            overlays=False,
            node=node,
        )
        metrics = run(plan, expected, options, folder, facts, Console())
        if json is not None:
            write_json(json, metrics)
    if min_miou is not None and require_truth(metrics, "--min-miou") < min_miou:
        raise BarNotMet(
            f"the node scores {metrics['miou']:.4f} mIoU on {metrics['labelled_frames']} labelled "
            f"frames; --min-miou requires at least {min_miou:g}"
        )
    if metrics["live"]["problems"]:
        raise BarNotMet("; ".join(metrics["live"]["problems"]))


def _camera(bag: Path, name: str | None) -> tuple[str, int]:
    """The topic to play, with its transport, found as ``evaluate`` finds it, and its messages.

    Raises:
        DataError: the bag cannot be read or is of ROS 1, or the choice of topic is not unique.
    """
    from bisenet_ros.recordings.bag_frames import BagFrames, BagOptions

    if bag.suffix == ".bag":
        raise DataError(
            f"{bag} is a bag of ROS 1, which the player cannot play; evaluate --bag scores it"
        )
    with closing(BagFrames(bag, BagOptions(image_topic=name))) as frames:
        return frames.images.name, frames.images.messages


def run(
    plan: DemoPlan,
    expected: int,
    options: RecordingOptions,
    out: Path,
    facts: dict[str, Any],
    console: Console,
) -> dict[str, Any]:
    """Play, score the masks as a model, write the report; returns the content of metrics.json."""
    from bisenet_ros.cli.executables import ros_executable
    from bisenet_ros.demo import pipeline
    from bisenet_ros.system.atomic_files import make_folder

    make_folder(out, "--out")
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=out) as scratch:
        with progress(console, expected, "masks") as on_progress:
            played = pipeline.play(plan, Path(scratch), on_progress, ros_executable)
        return _score(plan, played, options, out, facts, console)


def _score(
    plan: DemoPlan,
    played: Played,
    options: RecordingOptions,
    out: Path,
    facts: dict[str, Any],
    console: Console,
) -> dict[str, Any]:
    from bisenet_ros.cli.evaluate_recordings import show
    from bisenet_ros.cli.recording_options import print_notes
    from bisenet_ros.demo.metrics import live_figures
    from bisenet_ros.replay.evaluation import Listeners, evaluate_source
    from bisenet_ros.replay.served import RecordedMasks, ServedFrames

    live = live_figures(plan, played)
    labels = played.recording.label_set()
    stamps = {stamp: stamp for stamp in played.recording.mask_stamps()}
    if not stamps:
        raise BarNotMet("; ".join(live["problems"]))
    model = live["model"]
    known = {
        "live": live,
        "weights": {key: model[key] for key in ("weights", "num_classes") if key in model},
        "scored_with": {
            key: model[key]
            for key in ("engine", "device", "precision", "input_size")
            if key in model
        },
    }
    with (
        closing(options.open(str(plan.bag), labels)) as source,
        FrameProgress(console, "scoring") as bar,
    ):

        def on_scored(metrics: dict[str, Any]) -> None:
            bar.stop()
            show(metrics, console)
            print_notes(metrics["notes"])

        metrics = evaluate_source(
            ServedFrames(source, stamps),
            RecordedMasks(played.recording, stamps, labels),
            options.score,
            out,
            {**known, **facts},
            Listeners(bar.start, bar, on_scored),
        )
    console.print(str(out / "report.html"), highlight=False, markup=False, soft_wrap=True)
    return metrics
