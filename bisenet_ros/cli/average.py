"""``python -m bisenet_ros average``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bisenet_ros.errors import ArgumentError

SUFFIX = ".safetensors"


def average(
    context: typer.Context,
    weights: Annotated[
        list[Path], typer.Argument(help="weights files of one network, two or more")
    ],
    out: Annotated[Path, typer.Option(help="weights file to write: NAME.safetensors")],
    shares: Annotated[
        str, typer.Option(help="how much each counts, such as 2,1; empty: all the same")
    ] = "",
) -> None:
    """Average weights that were trained on from the same start, tensor by tensor."""
    from bisenet_ros.checkpoints import save
    from bisenet_ros.checkpoints.averaging import average as average_weights
    from bisenet_ros.cli.terminal import command_line
    from bisenet_ros.system.atomic_files import check_new_file

    check_new_file(out, SUFFIX, "--out")
    network, card = average_weights(weights, _numbers(shares), command_line(context))
    typer.echo(
        f"{save(out, network, card)}: the average of {len(weights)} files; score it with "
        "evaluate, and fit its temperature with evaluate --fit-temperature"
    )


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")] if text else []
    except ValueError as error:
        raise ArgumentError(
            f"--shares is {text!r}; expected numbers with commas between, such as 2,1"
        ) from error
