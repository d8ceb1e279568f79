"""The executable ``evaluation_node``: see ``bisenet_ros.ros.evaluation.node``.

On SIGINT or SIGTERM it writes its scores and exits with 0. Heavy imports happen only after the
signal handlers are installed, so that Ctrl-C during startup does not end in a traceback.
"""

from __future__ import annotations

import signal
import sys
import threading

from bisenet_ros.ros.usage import run_or_explain, wants_help


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGINT, SIGTERM or ``stop_after_idle``; 0, or the exit code of the error."""
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.set())
    return run_or_explain("evaluation_node", lambda: _run(arguments, stop))


def _run(arguments: list[str] | None, stop: threading.Event) -> int:
    from bisenet_ros.ros.evaluation import node

    if wants_help(sys.argv[1:] if arguments is None else arguments):
        print(node.help_text())
        return 0
    return node.run(arguments, stop)


if __name__ == "__main__":
    sys.exit(main())
