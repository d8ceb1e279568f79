"""The executable ``segmentation_node``.

What is heavy is imported only after the signals are in hand: importing torch takes seconds, and
a Ctrl-C in them must not end in a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

_stop = threading.Event()
_starting = True


def main(arguments: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; 0, or the exit code of what kept it from starting."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, _on_signal)
    from bisenet_ros.ros.segmentation.executor import run

    return run(arguments, _stop, _started)


def _started() -> None:
    global _starting
    _starting = False


def _on_signal(sign: int, frame: FrameType | None) -> None:
    if _starting:
        # Nothing is open yet that would have to be closed, and the import or the loading under
        # way would not look at a flag for seconds.
        os._exit(0)
    _stop.set()


if __name__ == "__main__":
    sys.exit(main())
