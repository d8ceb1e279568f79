"""The executable ``evaluation_node``: see ``bisenet_ros.ros.evaluation.node``.

SIGINT or SIGTERM ends it: it writes what it has and leaves with 0. What is heavy is imported only
after the signals are in hand, so that a Ctrl-C meanwhile does not end in a traceback.
"""

from __future__ import annotations

import signal
import sys
import threading


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGINT, SIGTERM or ``stop_after_idle``; 0, or the exit code of what went wrong."""
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.set())
    from bisenet_ros.ros.evaluation.node import run

    return run(arguments, stop)


if __name__ == "__main__":
    sys.exit(main())
