"""segmentation_node whose forward pass fails while FILE exists; FILE.spin: its executor."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from bisenet_ros.inference import Segmenter
from bisenet_ros.ros.segmentation.executor import FrameExecutor, run


def main() -> int:
    """Wrap the Segmenter's call, then run the node as it is."""
    switch = Path(sys.argv[1])
    call = Segmenter.__call__

    def failing(self, *arguments, **options):
        if switch.exists():
            raise RuntimeError("injected failure of the forward pass")
        return call(self, *arguments, **options)

    spin_once = FrameExecutor.spin_once

    def spinning(self, *arguments, **options):
        if switch.with_suffix(".spin").exists():
            raise RuntimeError("injected failure of the executor")
        return spin_once(self, *arguments, **options)

    Segmenter.__call__ = failing
    FrameExecutor.spin_once = spinning
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.set())
    return run(sys.argv[1:], stop, lambda: None)


if __name__ == "__main__":
    sys.exit(main())
