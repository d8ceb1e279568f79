"""The command line's table of subcommands. Their modules import what is heavy when called."""

from __future__ import annotations

import typer

from bisenet_ros.cli.benchmark import benchmark
from bisenet_ros.cli.demo import demo
from bisenet_ros.cli.evaluate import evaluate
from bisenet_ros.cli.export import export
from bisenet_ros.cli.inspect import inspect
from bisenet_ros.cli.train import train

app = typer.Typer(
    help="BiSeNetV2 for ROS 2: everything but the node.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(train)
app.command()(evaluate)
app.command()(benchmark)
app.command()(export)
app.command()(inspect)
