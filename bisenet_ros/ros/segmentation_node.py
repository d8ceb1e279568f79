"""The executable ``segmentation_node``.

Heavy imports happen only after the signal handlers are installed: importing torch takes seconds,
and Ctrl-C during that time must not end in a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

from bisenet_ros.ros.usage import run_or_explain, wants_help

_stop = threading.Event()
_starting = True


def main(arguments: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; 0, or the exit code of a startup error."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, _on_signal)
    return run_or_explain("segmentation_node", lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    if wants_help(sys.argv[1:] if arguments is None else arguments):
        from bisenet_ros.ros.segmentation import usage

        print(usage.text())
        return 0
    from bisenet_ros.ros.segmentation.executor import run

    return run(arguments, _stop, _started)


def _started() -> None:
    global _starting
    _starting = False


def _on_signal(sign: int, frame: FrameType | None) -> None:
    if _starting:
        # Nothing needs closing yet, and the import or model loading in progress would not check
        # a flag for seconds.
        os._exit(0)
    # `ros2 run` and a terminal both pass Ctrl-C on, so a second signal comes while the node ends.
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    _stop.set()


if __name__ == "__main__":
    sys.exit(main())
