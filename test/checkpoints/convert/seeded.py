"""Checkpoints of other projects, filled with seeded values from a list of their keys and shapes.

The values let a wrong network show: with He-initialised weights logits grow to 1e7, beside which a
lost bias is invisible, so weights keep the variance and batch norms stay near 1.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GAIN = 2.0  # × 1 / fan-in: keeps the variance through a ReLU
RESIDUAL_GAIN = 1.0  # where residual sums make it grow
DATA = Path(__file__).parent / "data"


def fill(
    shapes: Mapping[str, Sequence[int]], gain: float = GAIN, seed: int = 0
) -> dict[str, Tensor]:
    """A float32 tensor per key, the same on every machine, whatever the order of the keys."""
    return {name: _values(name, tuple(shape), shapes, gain, seed) for name, shape in shapes.items()}


def images(height: int = 64, width: int = 128, seed: int = 0) -> Tensor:
    """(1, 3, height, width) normalised images: coarse patches with fine noise on top."""
    random = np.random.default_rng(seed)
    patches = random.standard_normal((1, 3, height // 16, width // 16))
    noise = random.standard_normal((1, 3, height, width))
    grown = patches.repeat(16, axis=2).repeat(16, axis=3)
    return torch.from_numpy((grown + 0.5 * noise).astype(np.float32))


def manifest(name: str) -> dict:
    """Keys, shapes and facts of a source's network, as scripts/bisenet_references.py wrote it."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def reference(name: str) -> dict[str, np.ndarray]:
    """The source implementation's own logits for :func:`fill` and :func:`images`."""
    with np.load(DATA / f"{name}.npz") as arrays:
        return dict(arrays)


def _values(
    name: str, shape: tuple[int, ...], shapes: Mapping[str, Sequence[int]], gain: float, seed: int
) -> Tensor:
    random = np.random.default_rng([zlib.crc32(name.encode()), seed])
    module, _, kind = name.rpartition(".")
    normed = f"{module}.running_mean" in shapes
    if kind == "num_batches_tracked":
        return torch.tensor(1000 + seed)
    if kind == "running_var":
        values = random.uniform(0.5, 1.5, shape)
    elif kind == "weight" and normed:
        values = random.uniform(0.8, 1.2, shape)
    elif kind == "weight":
        values = random.standard_normal(shape) * np.sqrt(gain / np.prod(shape[1:]))
    elif normed:
        values = 0.1 * random.standard_normal(shape)
    else:  # the bias of a convolution without batch norm
        values = random.uniform(-0.5, 0.5, shape)
    return torch.from_numpy(np.asarray(values, np.float32))
