"""Fast DDS's shared-memory segments that killed processes left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path

# A participant's segment, and next to it the lock file that the participant holds while it lives.
SEGMENT = re.compile(r"(fastrtps|fastdds)_[0-9a-f]{16}")
LOCK_SUFFIX = "_el"


def remove_stale_segments(folder: Path = Path("/dev/shm")) -> list[str]:
    """Remove the segments whose lock nobody holds, as ``fastdds shm clean`` does.

    A segment without a lock file is left alone: its process may be about to create it.

    Returns:
        The names of the removed segments.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if SEGMENT.fullmatch(entry.name)]
    except OSError:
        return []  # this system keeps shared memory elsewhere
    return [name for name in sorted(names) if _remove_if_stale(folder / name)]


def _remove_if_stale(segment: Path) -> bool:
    lock = segment.with_name(segment.name + LOCK_SUFFIX)
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except OSError:
        return False  # no lock file, or another user's
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # its process lives
    else:
        with contextlib.suppress(FileNotFoundError):  # another cleaner was faster
            segment.unlink()
            lock.unlink()
        return True
    finally:
        os.close(descriptor)
