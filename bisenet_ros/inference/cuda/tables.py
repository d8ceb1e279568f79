"""Lookup tables of the pixel kernels: the neighbours of each sample and their weights.

Both implementations (Triton and plain PyTorch) read the same tables, so neither computes
coordinates, and both use exactly the same neighbours and weights.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bisenet_ros.inference.upsampling import upsample_axis

WEIGHT_BITS = 11  # OpenCV resizes bytes with weights that are multiples of 1/2048


class Axis(NamedTuple):
    """Linear interpolation along one axis: each of L samples is a mix of two source samples.

    Attributes:
        indices: (2, L) int32, the two source indices.
        weights: (2, L), their weights: int32 out of 2048 for bytes, float32 out of 1 for logits.
    """

    indices: Tensor
    weights: Tensor


class Grid(NamedTuple):
    """The interpolation of an image: ``rows`` along its height, ``columns`` along its width."""

    rows: Axis
    columns: Axis


def resize_grid(
    source: tuple[int, int],
    target: tuple[int, int],
    padded: tuple[int, int],
    device: torch.device,
    turns: int = 0,
) -> Grid:
    """Resize bytes from ``source`` to ``target`` as OpenCV's INTER_LINEAR does, then pad.

    Args:
        source, target: (height, width) of the camera image and of the network's input.
        padded: (height, width), at least ``target``; padding repeats the last row and column.
        device: of the tables.
        turns: clockwise quarter turns that put the image upright. The rows and columns of the grid
            stay the camera's: write through :func:`as_camera`.
    """
    target, padded = _as_camera_size(target, turns), _as_camera_size(padded, turns)
    back_rows, back_columns = _runs_backwards(turns)
    rows = _resize_axis(source[0], target[0], padded[0], False, back_rows)
    columns = _resize_axis(source[1], target[1], padded[1], True, back_columns)
    return Grid(_to(rows, device), _to(columns, device))


def upsample_grid(
    source: tuple[int, int], target: tuple[int, int], device: torch.device, turns: int = 0
) -> Grid:
    """Upsample logits from ``source`` to ``target`` (height, width), as ``networks.upsample``.

    Args:
        source: of the logits, which are upright.
        target: of the outputs, which lie as the camera's image does.
        device: of the tables.
        turns: clockwise quarter turns that put the image upright; read through :func:`as_camera`.
    """
    source = _as_camera_size(source, turns)
    axes = []
    for length, wanted, backwards in zip(source, target, _runs_backwards(turns), strict=True):
        indices, weights = upsample_axis(length, wanted)
        axes.append((length - 1 - indices if backwards else indices, weights))
    rows, columns = axes
    return Grid(_to(rows, device), _to(columns, device))


def as_camera(upright: Tensor, turns: int) -> Tensor:
    """A view of (C, h, w) whose rows and columns are the camera's, apart from their direction."""
    return upright.transpose(1, 2) if turns % 2 else upright


def _as_camera_size(upright: tuple[int, int], turns: int) -> tuple[int, int]:
    return (upright[1], upright[0]) if turns % 2 else upright


def _runs_backwards(turns: int) -> tuple[bool, bool]:
    """Whether upright pixels run against the camera's rows, and against its columns."""
    return turns in (1, 2), turns in (2, 3)


def normalisation_table(
    mean: tuple[float, float, float], std: tuple[float, float, float], dtype: torch.dtype
) -> Tensor:
    """(3, 256) of ``dtype``: the normalised value of each byte in each RGB channel.

    A table instead of arithmetic, so that both implementations give the same bits.
    """
    scaled = torch.arange(256, dtype=torch.float32) / 255
    return ((scaled - torch.tensor(mean)[:, None]) / torch.tensor(std)[:, None]).to(dtype)


def byte_table() -> Tensor:
    """(3, 256) uint8: each byte itself, to resize without normalising."""
    return torch.arange(256, dtype=torch.uint8).repeat(3, 1)


def _resize_axis(
    source: int, target: int, padded: int, clamps_weight: bool, backwards: bool
) -> tuple[np.ndarray, np.ndarray]:
    # Same order of operations and precision as OpenCV: any other order rounds differently.
    position = ((np.arange(target) + 0.5) * (1.0 / (target / source)) - 0.5).astype(np.float32)
    first = np.floor(position).astype(np.int32)
    weight = position - first.astype(np.float32)
    if clamps_weight:  # OpenCV clamps in x only; in y both neighbours are the edge row
        weight[(first < 0) | (first >= source - 1)] = 0
    indices = np.stack([first, first + 1]).clip(0, source - 1)
    weights = np.rint(np.stack([np.float32(1) - weight, weight]) * np.float32(1 << WEIGHT_BITS))
    if backwards:
        indices, weights = indices[:, ::-1], weights[:, ::-1]
    padding = ((0, 0), (0, padded - target))
    return np.pad(indices, padding, "edge"), np.pad(weights.astype(np.int32), padding, "edge")


def _to(axis: tuple[np.ndarray, np.ndarray], device: torch.device) -> Axis:
    indices, weights = (torch.from_numpy(np.ascontiguousarray(table)).to(device) for table in axis)
    return Axis(indices, weights)
