"""Work that must not take the CPU from the frames."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")

NICENESS = 10  # what the kernel gives a tenth of the time to, where others want all of it


def in_background(make: Callable[[], Made]) -> Made:
    """Call ``make`` in a thread of low priority and return what it returns or raise what it raises.

    The threads that torch starts for its work there inherit the priority. A thread of its own,
    because an ordinary user can lower a thread's priority but not raise it again.
    """
    made: list[Made] = []
    failed: list[BaseException] = []

    def run() -> None:
        # Where the system does not let threads differ, the work is done all the same.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            made.append(make())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="loading", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]
