"""Seeded checkpoints of other projects, and where what their sources answer is kept.

Those that ``selftest`` converts, too, are kept beside it in the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.selftest import seeded
from bisenet_ros.selftest.seeded import GAIN, RESIDUAL_GAIN, fill, images

__all__ = ["GAIN", "RESIDUAL_GAIN", "fill", "images"]

DATA = Path(__file__).parent / "data"


def file(name: str) -> Path:
    """Where a file of that name is kept, or is to be kept."""
    shipped = seeded.DATA / name
    return shipped if shipped.is_file() else DATA / name


def answered() -> list[str]:
    """Names of all networks whose logits are kept."""
    return sorted(path.stem for folder in (DATA, seeded.DATA) for path in folder.glob("*.npz"))


def manifest(name: str) -> dict[str, Any]:
    """Keys, shapes and facts of a source's network, as scripts/*_references.py wrote them."""
    return seeded.manifest(file(f"{name}.json"))


def reference(name: str) -> dict[str, np.ndarray]:
    """The source implementation's own logits for :func:`fill` and :func:`images`."""
    with np.load(file(f"{name}.npz")) as arrays:
        return dict(arrays)
