"""The command line's subcommands: one file each, named as the subcommand, imported when called."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import typer

# Name to the line that `--help` shows, which is the first of the function's docstring.
COMMANDS = {
    "demo": "Play a bag through the real node over DDS, score the masks, and show what it saw.",
    "train": "Train on labelled images and write a weights file for the node.",
    "evaluate": "Score weights on labelled images: mIoU, every class, boundaries, confusion.",
    "benchmark": "Measure camera image to mask and overlay, paired with the usual pipeline.",
    "export": "Write the network as ONNX or OpenVINO IR; the node takes the file as weights.",
    "data": "Say what a folder or zip of labelled images is, check it, show it, convert it.",
    "inspect": "Print what a weights file says of itself, after checking its tensors.",
}


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """The application, with the one subcommand loaded that the arguments name.

    The others would load training, every engine and the report only to show a line each.
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
    """Stands for a subcommand that is only listed."""
