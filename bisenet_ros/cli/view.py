"""``python -m bisenet_ros view``."""

from __future__ import annotations

import contextlib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bisenet_ros.cli.options import Device, LabelColors, LabelTopic, MaxDt, Precision, Weights
from bisenet_ros.cli.terminal import FrameProgress, interruptible
from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference.engines import ENGINES

if TYPE_CHECKING:
    from rich.console import Console

    from bisenet_ros.replay.evaluation import RecordingOptions
    from bisenet_ros.replay.model import ModelOptions


def view(
    source: Annotated[
        str | None, typer.Argument(help="as of predict: bag, video, images or webcam")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="show a running node instead of a recording")
    ] = False,
    web: Annotated[
        bool, typer.Option("--web", help="in a browser on this machine, not in a window")
    ] = False,
    port: Annotated[
        int, typer.Option(help="of --web, and the next one; 0: any", min=0, max=65534)
    ] = 0,
    save: Annotated[
        Path | None, typer.Option(help="write a Rerun file (.rrd) instead of showing anything")
    ] = None,
    weights: Weights = None,
    image_topic: Annotated[
        str | None, typer.Option(help="image topic; default: the only camera, or the node's")
    ] = None,
    label_topic: LabelTopic = None,
    label_colors: LabelColors = None,
    max_dt: MaxDt = 0.0,
    node: Annotated[str, typer.Option(help="name of the node to show with --live")] = "/bisenet",
    every: Annotated[int, typer.Option(help="use every Nth frame", min=1)] = 1,
    start: Annotated[float, typer.Option(help="skip the first seconds", min=0)] = 0.0,
    duration: Annotated[float | None, typer.Option(help="seconds to use", min=0)] = None,
    limit: Annotated[int | None, typer.Option(help="most frames to use", min=1)] = None,
    device: Device = "auto",
    engine: Annotated[str, typer.Option(help=f"auto, {', '.join(ENGINES)}")] = "auto",
    precision: Precision = "auto",
) -> None:
    """Show a recording or a running node in Rerun: camera, mask, confidence, figures."""
    from rich.console import Console

    from bisenet_ros.cli import recording_options as shared
    from bisenet_ros.replay.evaluation import RecordingOptions
    from bisenet_ros.replay.model import ModelOptions
    from bisenet_ros.replay.score import ScoreOptions

    if live == (source is not None):
        raise ArgumentError("expected a recording to show, or --live for a running node")
    if web and save is not None:
        raise ArgumentError("--web and --save were both given; pass one of them")
    console = Console()
    with interruptible(), contextlib.ExitStack() as stack:
        if source is None:
            from bisenet_ros.ros.live_view import show_node

            stream = _stream(stack, web, port, save, console)
            return show_node(stream, node, image_topic, limit)
        path = shared.existing_weights(weights)
        model = ModelOptions(path, device, precision, engine)
        chosen = shared.selection(every, start, duration, limit)
        how = ScoreOptions(chosen, boundaries=False)
        options = RecordingOptions(image_topic, label_topic, label_colors, max_dt, how)
        _show(stack, source, model, options, (web, port, save), console)
    return None


def _stream(
    stack: contextlib.ExitStack, web: bool, port: int, save: Path | None, console: Console
) -> Any:
    from bisenet_ros.cli import viewers

    if save is not None:
        return stack.enter_context(viewers.file(save))
    if not web:
        return stack.enter_context(viewers.window())
    stream, address = stack.enter_context(viewers.web(port))
    console.print(f"open {address}", highlight=False, markup=False, soft_wrap=True)
    return stream


def _show(
    stack: contextlib.ExitStack,
    name: str,
    model: ModelOptions,
    options: RecordingOptions,
    where: tuple[bool, int, Path | None],
    console: Console,
) -> None:
    from bisenet_ros.cli.recording_options import print_notes
    from bisenet_ros.replay.showing import show_recording
    from bisenet_ros.report.rerun import RerunLog, rerun

    rerun()  # before the model is loaded: it may not be installed
    predictor = model.load()
    source = stack.enter_context(closing(options.open(name, predictor.labels)))
    stream = _stream(stack, *where, console)
    log = RerunLog(stream, predictor.labels)
    with FrameProgress(console, "showing") as bar:
        bar.start(options.score.selection.expected(source))
        run = show_recording(source, predictor, options.score, log, bar)
    stream.flush()
    print_notes(run.notes)
    if where[2] is not None:
        console.print(str(where[2]), highlight=False, markup=False, soft_wrap=True)
    if where[0] and not run.partial:
        console.print("Ctrl-C ends the server", highlight=False)
        _wait_for_interrupt()


def _wait_for_interrupt() -> None:
    import time

    while True:
        time.sleep(3600)
