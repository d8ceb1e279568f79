"""``python -m bisenet_ros``: one file per subcommand."""

from __future__ import annotations

import sys

from bisenet_ros.errors import BisenetError

EXTRA = "pip install 'bisenet_ros[tools]'"


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand and return its exit code.

    0: success; 1: a required score was missed; 2: bad arguments; 3: bad data.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        from bisenet_ros.cli.app import app_for
        from bisenet_ros.cli.arguments import completed

        app = app_for(arguments)
    except ModuleNotFoundError as error:
        print(f"the command line needs {error.name}: {EXTRA}", file=sys.stderr)
        return 2
    try:
        app(completed(arguments), prog_name="python -m bisenet_ros")
    except BisenetError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    return 0
