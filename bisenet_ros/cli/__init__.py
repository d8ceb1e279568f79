"""``bisenet_ros`` and ``python -m bisenet_ros``: one file per subcommand."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bisenet_ros.errors import ArgumentError, BisenetError, DataError
from bisenet_ros.system.optional import installation

PROGRAM = "bisenet_ros"
# Set by the shell's completion function, with the words typed so far in one of the others.
COMPLETION = "_BISENET_ROS_COMPLETE"
WORDS = ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")
FIRST = """\
Semantic segmentation for ROS 2. Three things to try first:

  {program} demo            play the sample drive through the node; film and report
  {program} predict SOURCE  segment an image, folder, video, bag or webcam
  {program} data FOLDER     see what your labelled images are, then: train --data FOLDER

{program} --help lists all commands."""


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand and return its exit code.

    0: success; 1: a required score was missed; 2: bad arguments; 3: bad data.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    installed = Path(sys.argv[0]).name == PROGRAM
    name = PROGRAM if installed else f"python -m {PROGRAM}"
    completing = COMPLETION in os.environ
    if not arguments and not completing:
        print(FIRST.format(program=name))
        return 0
    try:
        from bisenet_ros.cli.app import app_for
        from bisenet_ros.cli.arguments import completed

        app = app_for(_typed() if completing else arguments, completion=installed)
    except ModuleNotFoundError as error:
        print(_missing(error), file=sys.stderr)
        return ArgumentError.exit_code
    try:
        app(completed(arguments), prog_name=name)
    except BisenetError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        print(_missing(error), file=sys.stderr)
        return ArgumentError.exit_code
    except OSError as error:  # a full disk, a file that was removed meanwhile
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        return DataError.exit_code
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    return 0


def _typed() -> list[str]:
    """The words after the program's name on a line that is being completed."""
    return next((os.environ[name] for name in WORDS if name in os.environ), "").split()[1:]


def _missing(error: ModuleNotFoundError) -> str:
    return f"error: the command needs {error.name}; {installation(error.name or '')}"
