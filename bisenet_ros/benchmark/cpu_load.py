"""Processes that keep CPU cores busy, to measure performance under load."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

# Polling stdin ends it when the benchmark dies, so that no process keeps a core busy forever.
BUSY = """
import select, sys
while True:
    for _ in range(1000000):
        pass
    if select.select([sys.stdin], [], [], 0)[0]:
        break
"""


@contextlib.contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Run ``count`` processes that compute without pause for the duration of the block."""
    children = [
        subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE) for _ in range(count)
    ]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()
            if child.stdin is not None:
                child.stdin.close()
