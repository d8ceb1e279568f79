"""Logits → the class of each camera pixel, tile by tile and class by class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import cv2
import numpy as np

from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.cpu.tile_scores import BEST_CLASS, Rule, TileScores, Work
from bisenet_ros.inference.cpu.tiles import LARGEST_TILE, bands
from bisenet_ros.inference.cpu.wide_rows import WideRows

CELL = np.ones((2, 2), np.uint8)
ALL = slice(None)
# Rows and columns of the mask, the scores there, and the ids of the classes that may win there.
Part = tuple[slice, slice, TileScores, Sequence[int]]


def classify(
    logits: np.ndarray,
    mask: np.ndarray,
    confidence: np.ndarray | None,
    buffers: Buffers,
    rule: Rule = BEST_CLASS,
) -> None:
    """Upsample logits bilinearly to the mask's size and write the best class of each pixel.

    In each tile, the classes that may win there are processed one by one and only the best so far
    is kept; ties go to the lowest id. Half-pixel centres, as in ``bisenet_ros.networks.upsample``.

    Args:
        logits: (n, h, w) float32, each (h, w) contiguous; finite; 1 ≤ n ≤ 255.
        mask: (H, W) uint8, C-contiguous; overwritten.
        confidence: (H, W) uint8, overwritten with the softmax probability of what the mask says,
            0–255, and 0 where it says unlabelled; or None.
        buffers: provides the working arrays.
        rule: what is written for which scores.
    """
    work = Work(buffers)
    if mask.size <= LARGEST_TILE:
        tiles = _whole(logits, mask.shape, work)
    else:
        tiles = _tiles(logits, mask.shape, buffers, work)
    for rows, columns, scores, may_win in tiles:
        part = None if confidence is None else confidence[rows, columns]
        scores.write(may_win, rule, mask[rows, columns], part)


def _whole(logits: np.ndarray, shape: tuple[int, int], work: Work) -> Iterator[Part]:
    """The mask as a single tile in which every class may win."""

    def upsample(label: int, out: np.ndarray) -> None:
        cv2.resize(logits[label], shape[::-1], dst=out, interpolation=cv2.INTER_LINEAR)

    labels = range(len(logits))
    yield ALL, ALL, TileScores(upsample, len(labels), shape, work), labels


def _tiles(
    logits: np.ndarray, shape: tuple[int, int], buffers: Buffers, work: Work
) -> Iterator[Part]:
    """The tiles of the mask, with the classes that may win there."""
    lead = _lead(logits)
    wide = WideRows(logits, shape, buffers)
    for band in bands(logits.shape[1:], shape):
        rows = wide.of(band)
        band_lead = lead[:, band.cells].max(1)
        height = len(band.weights)
        for tile in band.tiles:
            planes = rows[:, :, tile.columns]
            upsample = partial(_upsample, band.weights, planes)
            scores = TileScores(upsample, len(planes), (height, planes.shape[2]), work)
            may_win = np.flatnonzero(band_lead[:, tile.cells].max(1) >= 0)
            yield band.rows, tile.columns, scores, may_win.tolist()


def _upsample(weights: np.ndarray, planes: np.ndarray, label: int, out: np.ndarray) -> None:
    """A plane of (n, k, W), wide enough already, upsampled to the rows of ``weights``, (H, k)."""
    np.matmul(weights, planes[label], out=out)


def _lead(logits: np.ndarray) -> np.ndarray:
    """(n, h, w) float32: by how much each class may beat all others, between a logit and the next.

    Bilinear values lie between those of the four corners. Where this is negative, the lowest corner
    of another class is above the highest of this one, which therefore wins nowhere between them.
    """
    lead = np.empty_like(logits)
    floor = np.full(logits.shape[1:], -np.inf, np.float32)
    lowest = np.empty_like(floor)
    for plane, highest in zip(logits, lead, strict=True):
        cv2.dilate(plane, CELL, dst=highest, anchor=(0, 0))
        cv2.erode(plane, CELL, dst=lowest, anchor=(0, 0))
        cv2.max(floor, lowest, dst=floor)
    return np.subtract(lead, floor, out=lead)
