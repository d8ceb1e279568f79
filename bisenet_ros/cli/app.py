"""The subcommands: one file each, named after the subcommand, imported only when called."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Annotated

import typer

from bisenet_ros.version import __version__

# Name to the line that `--help` shows: the first line of the function's docstring.
COMMANDS = {
    "demo": "Play the sample drive through the real node over DDS and write a report.",
    "train": "Train on labelled images and write a weights file for the node.",
    "evaluate": "Score weights on a labelled data set or on recordings, or compare two of them.",
    "predict": "Segment images, a video, a bag or a webcam, and write what the model sees.",
    "replay": "Play a bag through the real node over DDS and score it as evaluate --bag does.",
    "view": "Show a recording or a running node in Rerun: camera, mask, confidence, figures.",
    "benchmark": "Time camera image to mask and overlay, paired with a conventional pipeline.",
    "frontier": "Time and score models beside the shipped weights: accuracy against milliseconds.",
    "export": "Export the network as ONNX or OpenVINO IR, which the node also takes as weights.",
    "convert": "Make a weights file from another project's checkpoint.",
    "average": "Average weights that were trained on from the same start, tensor by tensor.",
    "networks": "List the networks: parameters, multiply-adds, strides, options, time.",
    "selftest": "Train, convert, export and run every network on this machine, and compare.",
    "data": "Say what a folder or zip of labelled images is, check it, show it, convert it.",
    "inspect": "Check a weights file and print its model card.",
}


def _print_version(asked: bool) -> None:
    if asked:
        print(f"bisenet_ros {__version__}")
        raise typer.Exit


def app_for(arguments: Sequence[str], completion: bool = False) -> typer.Typer:
    """The application, with only the subcommand that the arguments name loaded.

    Loading the others would import training, every engine and the report for one help line each.

    Args:
        arguments: of the command line, or the words to be completed.
        completion: whether to offer ``--install-completion``, which shells need a program for.
    """
    app = typer.Typer(
        help="Semantic segmentation for ROS 2: everything but the node.",
        no_args_is_help=True,
        add_completion=completion,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    called = next((argument for argument in arguments if not argument.startswith("-")), "")
    for name, line in COMMANDS.items():
        if name == called:
            function = getattr(importlib.import_module(f"bisenet_ros.cli.{name}"), name)
            app.command(name)(function)
        else:
            app.command(name, help=line)(_not_called)
    return app


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="print the version"),
    ] = False,
) -> None:
    """Semantic segmentation for ROS 2: everything but the node."""


def _not_called() -> None:
    """Placeholder for a subcommand that is only listed."""
