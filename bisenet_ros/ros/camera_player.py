"""The executable ``camera_player``: see ``bisenet_ros.ros.player.node``.

Heavy imports happen only after the signal handlers are installed, so that Ctrl-C during startup
does not end in a traceback.
"""

from __future__ import annotations

import os
import signal
import sys

from bisenet_ros.ros.usage import run_or_explain, wants_help


def main(arguments: list[str] | None = None) -> int:
    """Play until the end or a signal; return the exit code."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: os._exit(0))  # nothing is open yet
    return run_or_explain("camera_player", lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    from bisenet_ros.ros.player import options

    if wants_help(sys.argv[1:] if arguments is None else arguments):
        options.parse(["--help"])  # which exits, and needs no ROS
    from bisenet_ros.ros.player import node as player

    return player.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
