"""``python -m bisenet_ros train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path | None, typer.Option(help="YAML file of recipe options")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the data set")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the run")] = None,
    iterations: Annotated[int | None, typer.Option(help="optimiser steps")] = None,
    resume: Annotated[bool, typer.Option(help="go on from the run's last.ckpt")] = False,
) -> None:
    """Train BiSeNetV2 on CamVid and write a weights file."""
    from bisenet_ros.training.recipe import Recipe
    from bisenet_ros.training.run import export
    from bisenet_ros.training.run import train as run

    recipe = Recipe.read(
        config,
        data=None if data is None else str(data),
        out=None if out is None else str(out),
        iterations=iterations,
    )
    module = run(recipe, resume)
    command = "python -m bisenet_ros train --config " + str(config or "recipe.yaml")
    print(export(module, recipe, Path(recipe.out) / "weights.safetensors", command))
