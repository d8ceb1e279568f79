"""Checkpoints of other projects, filled with seeded values from a list of their keys and shapes.

The values let a wrong network show: with He-initialised weights logits grow to 1e7, beside which a
lost bias is invisible, so weights keep the variance and batch norms stay near 1.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

GAIN = 2.0  # × 1 / fan-in: keeps the variance through a ReLU
RESIDUAL_GAIN = 1.0  # where residual sums make it grow
SAMPLES = 1024  # logits kept of each large network
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
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


def manifest(path: Path) -> dict[str, Any]:
    """Keys and shapes of a source's network, as ``shapes``, and facts about it."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return content if "shapes" in content else {"shapes": unfold(content), "gain": RESIDUAL_GAIN}


def sample(logits: np.ndarray) -> np.ndarray:
    """Values spread evenly over an array, as many as are kept."""
    flat = logits.reshape(-1)
    return flat[np.linspace(0, flat.size - 1, SAMPLES).round().astype(int)]


def fold(shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Keys and shapes, the five tensors of each batch norm as one entry: name → channels."""
    folded: dict[str, Any] = {}
    for key, shape in shapes.items():
        module, _, kind = key.rpartition(".")
        if f"{module}.running_mean" in shapes and kind in NORM:
            folded[module] = shapes[f"{module}.weight"][0]
        else:
            folded[key] = list(shape)
    return folded


def unfold(folded: Mapping[str, Any]) -> dict[str, list[int]]:
    """Inverse of :func:`fold`."""
    shapes: dict[str, list[int]] = {}
    for key, value in folded.items():
        if isinstance(value, list):
            shapes[key] = value
        else:
            shapes |= {f"{key}.{kind}": [value] for kind in NORM[:4]}
            shapes[f"{key}.{NORM[4]}"] = []
    return shapes


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
