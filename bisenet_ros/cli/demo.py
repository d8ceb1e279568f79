"""``python -m bisenet_ros demo``: ``replay`` on the sample drive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bisenet_ros.cli.options import Device, Weights
from bisenet_ros.errors import BarNotMet, DataError
from bisenet_ros.system.share import SAMPLE_BAG, sample_bag


def demo(
    context: typer.Context,
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
    """Play the sample drive through the real node over DDS and write a report."""
    from bisenet_ros.cli.replay import LiveRun, play_and_score
    from bisenet_ros.cli.terminal import command_line
    from bisenet_ros.replay.evaluation import RecordingOptions

    playing = {"rate": rate, "weights": weights, "device": device}
    facts = {"command": command_line(context)}
    played = bag or _sample_bag()
    metrics = play_and_score(LiveRun(played, out, RecordingOptions(), playing, facts, json))
    typer.echo(f"{out / 'overlay.mp4'}, {out / 'overlay.png'}, {out / 'metrics.json'}")
    if metrics["live"]["problems"]:
        raise BarNotMet("; ".join(metrics["live"]["problems"]))


def _sample_bag() -> Path:
    """The sample drive; DataError in an installed package, which does not hold it."""
    bag = sample_bag()
    if bag is None:
        raise DataError(
            f"the sample drive is part of the source checkout ({SAMPLE_BAG}), not of the installed "
            "package; pass --bag PATH, or run the demo in a checkout"
        )
    return bag
