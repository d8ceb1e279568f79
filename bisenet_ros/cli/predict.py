"""``python -m bisenet_ros predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bisenet_ros.cli.options import Device, ImageTopic, InputSize, Precision, Weights
from bisenet_ros.cli.terminal import INTERRUPTED, FrameProgress, command_line, interruptible
from bisenet_ros.inference.engines import ENGINES

if TYPE_CHECKING:
    from rich.console import Console

    from bisenet_ros.recordings.frame_stream import FrameSource
    from bisenet_ros.replay.model import ModelOptions
    from bisenet_ros.replay.predict import Wanted
    from bisenet_ros.replay.score import Run, ScoreOptions

SUMMARY = "predictions.json"


def predict(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="image, folder or glob of images, video, bag (rosbag2 folder, .mcap, .db3, "
            ".bag; compressed or not), /dev/videoN or webcam:N"
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="output folder; default: out/predict/NAME")
    ] = None,
    masks: Annotated[bool, typer.Option("--masks", help="PNGs of class ids, 255: none")] = False,
    overlays: Annotated[
        bool, typer.Option("--overlays", help="JPEGs of the overlays; default for images")
    ] = False,
    video: Annotated[
        bool, typer.Option("--video", help="MP4 of the overlays; default for videos and bags")
    ] = False,
    bag: Annotated[
        bool,
        typer.Option("--bag", help="rosbag2 of mask, confidence, overlay and label_info"),
    ] = False,
    to: Annotated[
        str,
        typer.Option(help="labels to correct in a tool: cvat, labelme, coco, voc or folder"),
    ] = "",
    rrd: Annotated[bool, typer.Option("--rrd", help="a file for the Rerun viewer")] = False,
    weights: Weights = None,
    topic: ImageTopic = None,
    every: Annotated[int, typer.Option(help="use every Nth frame", min=1)] = 1,
    start: Annotated[float, typer.Option(help="skip the first seconds", min=0)] = 0.0,
    duration: Annotated[float | None, typer.Option(help="seconds to use", min=0)] = None,
    limit: Annotated[int | None, typer.Option(help="most frames to use", min=1)] = None,
    batch: Annotated[int, typer.Option(help="frames per inference", min=1, max=256)] = 1,
    alpha: Annotated[float, typer.Option(help="opacity of the overlay", min=0, max=1)] = 0.5,
    threshold: Annotated[
        float, typer.Option(help="pixels below this probability become 255", min=0, max=1)
    ] = 0.0,
    size: InputSize = "",
    device: Device = "auto",
    engine: Annotated[str, typer.Option(help=f"auto, {', '.join(ENGINES)}")] = "auto",
    precision: Precision = "auto",
    json: Annotated[Path | None, typer.Option(help=f"also write {SUMMARY} to this file")] = None,
) -> None:
    """Segment images, a video, a bag or a webcam, and write what the model sees."""
    from rich.console import Console

    from bisenet_ros.cli import recording_options as shared
    from bisenet_ros.cli.sizes import parse_size
    from bisenet_ros.recordings.bag_frames import BagOptions
    from bisenet_ros.recordings.media_frames import open_frames
    from bisenet_ros.replay.model import ModelOptions
    from bisenet_ros.replay.predict import Wanted
    from bisenet_ros.replay.score import ScoreOptions
    from bisenet_ros.system.atomic_files import check_writable, write_json

    fixed = parse_size(size, "--size") if size else None
    path = shared.existing_weights(weights)
    model = ModelOptions(path, device, precision, engine, fixed, alpha, threshold)
    wanted = Wanted(masks, overlays, video, bag, to, rrd)
    options = ScoreOptions(shared.selection(every, start, duration, limit), batch)
    if json is not None:
        check_writable(json, "--json")
    console = Console()
    with interruptible():
        opened = open_frames(source, BagOptions(image_topic=topic))
        try:
            wanted = wanted if wanted != Wanted() else _default(opened)
            folder = shared.output_folder(out, "predict", source)
            facts = {"command": command_line(context)}
            run, summary = _run(opened, model, folder, wanted, options, facts, console)
        finally:
            opened.close()
    if json is not None:
        write_json(json, summary)
    shared.print_notes(run.notes)
    rate = run.frames / run.seconds if run.seconds else 0.0
    console.print(f"{run.frames} frames, {rate:.1f} frames/s", highlight=False)
    console.print(", ".join(summary["outputs"]), highlight=False, markup=False, soft_wrap=True)
    if run.partial:
        console.print(f"interrupted: what was done is kept, and marked partial in {SUMMARY}")
        raise typer.Exit(INTERRUPTED)


def _default(source: FrameSource) -> Wanted:
    """A video of what has a time, pictures of pictures."""
    from bisenet_ros.replay.predict import Wanted

    return Wanted(video=True) if source.timed else Wanted(overlays=True)


def _run(
    source: FrameSource,
    options: ModelOptions,
    out: Path,
    wanted: Wanted,
    how: ScoreOptions,
    facts: dict[str, Any],
    console: Console,
) -> tuple[Run, dict[str, Any]]:
    """Predict, write the outputs and their summary; returns how it went and the summary."""
    from dataclasses import replace

    from bisenet_ros.replay.model import inference_facts, weights_facts
    from bisenet_ros.replay.outputs import write_metrics
    from bisenet_ros.replay.predict import predict as write_predictions
    from bisenet_ros.system.atomic_files import make_folder

    predictor = options.load()
    make_folder(out, "--out")
    how = replace(how, overlays=wanted.pictures)
    with FrameProgress(console, "segmenting") as bar:
        bar.start(how.selection.expected(source))
        run = write_predictions(source, predictor, out, wanted, how, None, bar, options.threshold)
    labels = predictor.labels
    colours = [list(colour) for colour in labels.colours]
    summary = {
        **run.figures(),
        "frames": run.frames,
        "outputs": [str(path) for path in wanted.paths(out)],
        "classes": [
            {"id": i, "name": name, "color": colour}
            for i, (name, colour) in enumerate(zip(labels.names, colours, strict=True))
        ],
        "weights": weights_facts(predictor.segmenter.weights, predictor.segmenter.card),
        "inference": inference_facts(predictor.segmenter),
        **facts,
    }
    write_metrics(out / SUMMARY, summary)
    return run, summary
