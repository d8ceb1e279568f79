"""Tables the pixel kernels read: which neighbours make a sample, and in what shares.

Both ways of running the kernels (Triton and plain PyTorch) read the same tables, so neither
computes a coordinate, and both take exactly the same neighbours and weights.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

SHARE_BITS = 11  # OpenCV resizes bytes with weights that are whole numbers of 1/2048


class Axis(NamedTuple):
    """How each of L samples along one side mixes two of the source's.

    Attributes:
        places: (2, L) int32, the two positions in the source.
        shares: (2, L), their weights: int32 out of 2048 for bytes, float32 out of 1 for logits.
    """

    places: Tensor
    shares: Tensor


class Grid(NamedTuple):
    """The axes of an image: ``rows`` of its height, ``columns`` of its width."""

    rows: Axis
    columns: Axis


def fit_grid(
    source: tuple[int, int], target: tuple[int, int], padded: tuple[int, int], device: torch.device
) -> Grid:
    """Resize bytes from ``source`` to ``target`` as OpenCV's INTER_LINEAR does, then pad.

    Args:
        source, target: (height, width) of the camera image and of the network's input.
        padded: (height, width) at least ``target``; what is beyond repeats the last row and column.
        device: where the tables are to lie.
    """
    rows = _fit_axis(source[0], target[0], padded[0], clamps_share=False)
    columns = _fit_axis(source[1], target[1], padded[1], clamps_share=True)
    return Grid(_to(rows, device), _to(columns, device))


def spread_grid(source: tuple[int, int], target: tuple[int, int], device: torch.device) -> Grid:
    """Bring logits from ``source`` to ``target`` (height, width), as ``networks.upsample`` does."""
    rows, columns = (_spread_axis(a, b) for a, b in zip(source, target, strict=True))
    return Grid(_to(rows, device), _to(columns, device))


def levels(
    mean: tuple[float, float, float], std: tuple[float, float, float], dtype: torch.dtype
) -> Tensor:
    """(3, 256) of ``dtype``: what each byte of each RGB channel is, normalised.

    A table instead of arithmetic: every way of reading it gives the same bits.
    """
    scaled = torch.arange(256, dtype=torch.float32) / 255
    return ((scaled - torch.tensor(mean)[:, None]) / torch.tensor(std)[:, None]).to(dtype)


def _fit_axis(
    source: int, target: int, padded: int, clamps_share: bool
) -> tuple[np.ndarray, np.ndarray]:
    # The order of operations and their widths are OpenCV's: other orders round elsewhere.
    place = ((np.arange(target) + 0.5) * (1.0 / (target / source)) - 0.5).astype(np.float32)
    first = np.floor(place).astype(np.int32)
    share = place - first.astype(np.float32)
    if clamps_share:  # OpenCV does so along rows only; down columns both neighbours are the edge
        share[(first < 0) | (first >= source - 1)] = 0
    places = np.stack([first, first + 1]).clip(0, source - 1)
    shares = np.rint(np.stack([np.float32(1) - share, share]) * np.float32(1 << SHARE_BITS))
    beyond = ((0, 0), (0, padded - target))
    return np.pad(places, beyond, "edge"), np.pad(shares.astype(np.int32), beyond, "edge")


def _spread_axis(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    scale, half = np.float32(source) / np.float32(target), np.float32(0.5)
    place = np.maximum(scale * (np.arange(target, dtype=np.float32) + half) - half, np.float32(0))
    # In float32 the last place may round up to the edge itself.
    first = np.minimum(place.astype(np.int32), source - 1)
    share = place - first.astype(np.float32)
    places = np.stack([first, np.minimum(first + 1, source - 1)])
    return places, np.stack([np.float32(1) - share, share])


def _to(axis: tuple[np.ndarray, np.ndarray], device: torch.device) -> Axis:
    places, shares = (torch.from_numpy(np.ascontiguousarray(table)).to(device) for table in axis)
    return Axis(places, shares)
