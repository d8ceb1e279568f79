"""The environment a process that moves images should start with.

All of it is read by C libraries before Python's first line, so it is set by whoever starts the
process: the launch files and ``make demo``. docs/performance.md has the measurements.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from bisenet_ros.paths import share_file

# glibc hands blocks above a threshold back to the kernel on each free; an image a message is then
# thousands of page faults. With these the memory is kept and used again.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}
# Threads that spin between two operators starve every other process of the robot.
OPENMP = {"OMP_WAIT_POLICY": "PASSIVE"}
# Fast DDS renamed the variable with Kilted; each version reads its own.
FASTDDS = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")


def recommended_environment(current: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables to add to ``current``; those it already sets are left out."""
    wanted = {**MALLOC, **OPENMP}
    if not any(name in current for name in FASTDDS):
        profile = str(share_file("config/fastdds.xml"))
        wanted |= dict.fromkeys(FASTDDS, profile)
    return {name: value for name, value in wanted.items() if name not in current}


def process_environment(current: Mapping[str, str] = os.environ) -> dict[str, str]:
    """``current`` with what :func:`recommended_environment` adds, for ``subprocess``."""
    return {**current, **recommended_environment(current)}
