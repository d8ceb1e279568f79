"""What the steps of scripts/gpu_check.py share: what they are given, images, versions."""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bisenet_ros.benchmark.frames import jpegs_in
from bisenet_ros.inference.gpu import too_old
from bisenet_ros.system.share import sample_bag


@dataclass
class Context:
    """What a step is given.

    Attributes:
        result: the file to write.
        minutes: how long it may take.
        dry_run: on the CPU, as small as can be.
        work, data: folders of the training run and of CamVid.
        found: what has been measured so far.
    """

    result: Path
    minutes: float
    dry_run: bool
    work: Path
    data: Path | None
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> str:
        """Where it runs."""
        return "cpu" if self.dry_run else "cuda"

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that the GPU computes in."""
        if self.dry_run:
            return ("fp32",)
        return tuple(p for p in ("fp32", "fp16", "bf16") if not too_old(0, p))

    def size(self, height: int, width: int) -> tuple[int, int]:
        """A size, or a small one of the same shape in a dry run."""
        return (max(32, height // 8), max(32, width // 8)) if self.dry_run else (height, width)

    def count(self, number: int, dry: int = 2) -> int:
        """How often, or how often in a dry run."""
        return dry if self.dry_run else number

    def note(self, **figures: Any) -> None:
        """Add to the result and write it."""
        self.found.update(figures)
        self.result.write_text(json.dumps(self.found))


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder."""
    with tempfile.TemporaryDirectory(prefix="gpu-steps-") as folder:
        yield Path(folder)


def installed(name: str) -> str:
    """A package's version; empty if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def frames(size: tuple[int, int], count: int = 8) -> tuple[list[np.ndarray], str]:
    """Real images (H, W, 3) uint8 BGR of the sample drive, and where they come from."""
    folder = sample_bag()
    bags = sorted(folder.glob("*.mcap")) if folder else []
    found = [image for path in bags for image in jpegs_in(path, count)]
    source = "frames of the sample drive"
    if not found:
        source = "noise"
        random = np.random.default_rng(0)
        found = [random.integers(0, 256, (360, 480, 3), np.uint8) for _ in range(count)]
    return [cv2.resize(image, size[::-1]) for image in found], source
