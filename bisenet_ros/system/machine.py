"""Describes the machine that a measurement was taken on, and its background load."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from bisenet_ros.system.cpu import cpu_has_bf16, cpu_name
from bisenet_ros.system.environment import MALLOC, OPENMP


def describe() -> dict[str, Any]:
    """Processor, memory, system and versions, as plain values."""
    return {
        "processor": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "ros_distro": os.environ.get("ROS_DISTRO", "PyPI wheels"),
    }


def describe_compute(device: torch.device, threads: int) -> dict[str, Any]:
    """What :func:`describe` says, and GPU, libraries, threads and process settings in force."""
    facts = {
        **describe(),
        "bf16": cpu_has_bf16(),
        "threads": threads,
        "torch": torch.__version__,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "settings": {k: os.environ[k] for k in (*MALLOC, *OPENMP) if k in os.environ},
    }
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
        facts["cuda"] = torch.version.cuda
    return facts


class BackgroundLoad:
    """Measures how many cores other processes have kept busy since its creation."""

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat = stat
        self._start = self._read()

    def cores(self) -> float | None:
        """Busy cores on average; None if the system does not report it."""
        if self._start is None or (now := self._read()) is None:
            return None
        seconds, busy, own = (b - a for a, b in zip(self._start, now, strict=True))
        return max(0.0, (busy - own) / seconds) if seconds > 0 else None

    def _read(self) -> tuple[float, float, float] | None:
        """Wall-clock seconds, CPU seconds of all processes, and CPU seconds of this one."""
        try:
            fields = self._stat.read_text().splitlines()[0].split()[1:9]
        except OSError:
            return None
        user, nice, system, _, _, irq, softirq, _ = (int(field) for field in fields)
        busy = (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
        return time.monotonic(), busy, time.process_time()
