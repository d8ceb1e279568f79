"""``python -m bisenet_ros``: one file per subcommand."""

from __future__ import annotations

import sys

from bisenet_ros.errors import ArgumentError, BisenetError, DataError
from bisenet_ros.system.optional import installation


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand and return its exit code.

    0: success; 1: a required score was missed; 2: bad arguments; 3: bad data.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        from bisenet_ros.cli.app import app_for

        app = app_for(arguments)
    except ModuleNotFoundError as error:
        print(_missing(error), file=sys.stderr)
        return ArgumentError.exit_code
    try:
        app(arguments, prog_name="python -m bisenet_ros")
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


def _missing(error: ModuleNotFoundError) -> str:
    return f"error: the command needs {error.name}; {installation(error.name or '')}"
