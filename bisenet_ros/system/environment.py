"""Recommended environment variables for processes that handle images.

C libraries read them before Python starts, so the parent process has to set them: the launch files
and ``make demo`` do. docs/performance.md has the measurements.
"""

from __future__ import annotations

import errno
import os
import random
import socket
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from bisenet_ros.system.share import share_file

# glibc returns blocks above a threshold to the kernel on each free, so every image message costs
# thousands of page faults. With these settings the memory is kept and reused.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}
# Threads that spin between operators starve the robot's other processes.
OPENMP = {"OMP_WAIT_POLICY": "PASSIVE"}
# Fast DDS 3 (since Kilted) renamed the variable and an element of the file, and rejects the old
# names.
FASTDDS, FASTRTPS = "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"
PROFILES = {FASTDDS: "config/fastdds.xml", FASTRTPS: "config/fastrtps.xml"}
DOMAINS = range(1, 102)  # their ports are outside Linux's ephemeral range
BEFORE_KILTED = ("humble", "iron", "jazzy")


def recommended_environment(current: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables to add to ``current``, without those it already sets."""
    recommended = {**MALLOC, **OPENMP}
    if FASTDDS not in current and FASTRTPS not in current:
        variable = _profile_variable(current)
        recommended[variable] = str(share_file(PROFILES[variable]))
    return {name: value for name, value in recommended.items() if name not in current}


def _profile_variable(current: Mapping[str, str]) -> str:
    """The variable in which this ROS distribution looks for a Fast DDS profile."""
    distribution = current.get("ROS_DISTRO", "")
    if distribution:
        return FASTRTPS if distribution in BEFORE_KILTED else FASTDDS
    # ROS from PyPI does not set ROS_DISTRO; rclpy 7 is Jazzy's, 9 is Kilted's.
    for name in ("ros-rclpy", "rclpy"):
        try:
            return FASTRTPS if int(version(name).split(".")[0]) < 8 else FASTDDS
        except PackageNotFoundError:
            continue
    return FASTDDS


def process_environment(current: Mapping[str, str] = os.environ) -> dict[str, str]:
    """``current`` plus :func:`recommended_environment`, for ``subprocess``."""
    return {**current, **recommended_environment(current)}


def ros_environment() -> dict[str, str]:
    """Environment for ROS child processes: localhost only and a free domain, unless set."""
    environment = {
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        **process_environment(),
        "PYTHONUNBUFFERED": "1",
        "RCUTILS_COLORIZED_OUTPUT": "0",
    }
    if environment.get("ROS_DISTRO") == "humble":  # later distributions warn about it
        environment.setdefault("ROS_LOCALHOST_ONLY", "1")
    return environment


def free_domain() -> int:
    """A DDS domain that no other process on this machine seems to use."""
    domains = random.sample(DOMAINS, len(DOMAINS))
    return next((domain for domain in domains if not _in_use(domain)), domains[0])


def _in_use(domain: int) -> bool:
    # The first participant of a domain binds this port (DDSI-RTPS 2.3, section 9.6.1.1).
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7410 + 250 * domain))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
