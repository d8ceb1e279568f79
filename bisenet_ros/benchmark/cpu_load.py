"""Processes that keep cores busy, to see how the work bears company."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

# Reading its input ends it when the benchmark dies, so that nobody keeps a core for ever.
BUSY = """
import select, sys
while True:
    for _ in range(1000000):
        pass
    if select.select([sys.stdin], [], [], 0)[0]:
        break
"""


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Run ``count`` processes that compute without a pause as long as the block runs."""
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
