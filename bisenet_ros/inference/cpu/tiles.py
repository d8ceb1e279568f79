"""Tiles of the mask, small enough for their working arrays to stay in the processor's cache."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bisenet_ros.inference.upsampling import upsample_axis

# Two float32 planes of a tile take 256 KB; second-level caches hold 1 or 2 MB.
TILE_HEIGHT, TILE_WIDTH = 64, 512
# A mask of so many pixels is a single tile: cutting it costs more than the cache saves.
LARGEST_TILE = 1 << 18
# Multiplications in a matrix product that NumPy's library computes in the calling thread. For more
# it wakes threads of its own, which then wait for cores that others use.
LARGEST_PRODUCT = 1 << 20
MAX_SIZES = 16  # sizes whose tiles are kept; cameras that change size add new ones


@dataclass(frozen=True)
class Tile:
    """A tile of a band.

    Attributes:
        columns: of the mask.
        cells: the columns of cells that these lie in; cell i is between logits i and i + 1.
    """

    columns: slice
    cells: slice


@dataclass(frozen=True)
class Band:
    """Some rows of the mask, cut into tiles.

    Attributes:
        rows: of the mask.
        source_rows: the rows of logits that these lie between.
        cells: the rows of cells that these lie in.
        weights: (rows, source rows) float32: times the logits of these rows, it gives the mask's.
        tiles: from left to right.
    """

    rows: slice
    source_rows: slice
    cells: slice
    weights: np.ndarray
    tiles: tuple[Tile, ...]


@lru_cache(MAX_SIZES)
def bands(source: tuple[int, int], target: tuple[int, int]) -> tuple[Band, ...]:
    """The bands of a mask of size ``target`` from logits of size ``source``, (height, width)."""
    below, weights = upsample_axis(source[0], target[0])
    beside, _ = upsample_axis(source[1], target[1])
    tiles = tuple(
        Tile(columns, _cells(_between(beside, columns))) for columns in _cut(target[1], TILE_WIDTH)
    )
    found = []
    for rows in _cut(target[0], _height(source[0], target[0])):
        source_rows = _between(below, rows)
        matrix = _matrix(below[:, rows] - source_rows.start, weights[:, rows])
        found.append(Band(rows, source_rows, _cells(source_rows), matrix, tiles))
    return tuple(found)


def deepest(source: tuple[int, int], target: tuple[int, int]) -> int:
    """The most rows of logits that a band of :func:`bands` lies between."""
    return max(band.weights.shape[1] for band in bands(source, target))


def _height(source: int, target: int) -> int:
    """Rows of a band: fewer where they lie between many rows of logits."""
    height = TILE_HEIGHT
    while height > 1 and height * (height * source // target + 3) * TILE_WIDTH > LARGEST_PRODUCT:
        height //= 2
    return height


def _cut(length: int, part: int) -> list[slice]:
    return [slice(start, min(start + part, length)) for start in range(0, length, part)]


def _between(indices: np.ndarray, samples: slice) -> slice:
    first, second = indices[:, samples]
    return slice(int(first[0]), int(second[-1]) + 1)


def _cells(source: slice) -> slice:
    return slice(source.start, max(source.stop - 1, source.start + 1))


def _matrix(indices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(rows, source rows) float32: each row's two weights, added up where both are of one logit."""
    rows = np.arange(indices.shape[1])
    matrix = np.zeros((len(rows), indices.max() + 1), np.float32)
    np.add.at(matrix, (rows, indices), weights)
    matrix.flags.writeable = False  # all callers of the cache share it
    return matrix
