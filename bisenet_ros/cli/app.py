"""The subcommands: one file each, named after the subcommand, imported only when called."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import typer

# Name to the line that `--help` shows: the first line of the function's docstring.
COMMANDS = {
    "demo": "Play a bag through the real node over DDS, score the masks and write a report.",
    "train": "Train on labelled images and write a weights file for the node.",
    "evaluate": "Score weights on a labelled data set or on recordings, or compare two of them.",
    "predict": "Segment images, a video, a bag or a webcam, and write what the model sees.",
    "benchmark": "Time camera image to mask and overlay, paired with a conventional pipeline.",
    "export": "Export the network as ONNX or OpenVINO IR, which the node also takes as weights.",
    "convert": "Make a weights file from another project's checkpoint.",
    "data": "Say what a folder or zip of labelled images is, check it, show it, convert it.",
    "inspect": "Check a weights file and print its model card.",
}


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """The application, with only the subcommand that the arguments name loaded.

    Loading the others would import training, every engine and the report for one help line each.
    """
    app = typer.Typer(
        help="BiSeNetV2 for ROS 2: everything but the node.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    called = next((argument for argument in arguments if not argument.startswith("-")), "")
    for name, line in COMMANDS.items():
        if name == called:
            function = getattr(importlib.import_module(f"bisenet_ros.cli.{name}"), name)
            app.command(name)(function)
        else:
            app.command(name, help=line)(_not_called)
    return app


def _not_called() -> None:
    """Placeholder for a subcommand that is only listed."""
