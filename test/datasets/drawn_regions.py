"""The regions of a drawn image, as the tools hold them: in order, as corners, as run lengths.

Corners are traced along the pixels' edges, so that nothing is lost.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np


def regions_in_order(ids: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """(id, mask) of what somebody draws: later regions lie over earlier ones.

    All but the last reach below those that follow, as hand-drawn ones do.
    """
    found = []
    below = np.zeros(ids.shape, bool)
    for id in sorted(set(np.unique(ids).tolist()) - {0}, reverse=True):
        mask = (ids == id) | (cv2.dilate((ids == id).astype(np.uint8), np.ones((3, 3))) & below > 0)
        found.append((id, mask))
        below |= ids == id
    return found[::-1]


def rings(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """The outlines of a mask and of its holes, corners (x, y) each."""
    padded = np.pad(mask.astype(bool), 1)
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def edge(start: tuple[int, int], end: tuple[int, int]) -> None:
        steps.setdefault(start, []).append(end)

    for row, column in np.argwhere(padded).tolist():
        x, y = column - 1, row - 1
        if not padded[row - 1, column]:
            edge((x, y), (x + 1, y))
        if not padded[row, column + 1]:
            edge((x + 1, y), (x + 1, y + 1))
        if not padded[row + 1, column]:
            edge((x + 1, y + 1), (x, y + 1))
        if not padded[row, column - 1]:
            edge((x, y + 1), (x, y))
    found = []
    while steps:
        start = next(iter(steps))
        ring, here = [start], _leave(steps, start)
        while here != start:
            ring.append(here)
            here = _leave(steps, here)
        found.append(ring)
    return found


def _leave(
    steps: dict[tuple[int, int], list[tuple[int, int]]], place: tuple[int, int]
) -> tuple[int, int]:
    ends = steps[place]
    end = ends.pop()
    if not ends:
        del steps[place]
    return end


def joined(parts: list[list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Several rings as one polygon: there and back along the same line counts twice, so not at all.

    People cut holes into polygons in this way.
    """
    first = parts[0][0]
    corners: list[tuple[int, int]] = []
    for ring in parts:
        corners += [*ring, ring[0], first]
    return corners


def flat(corners: list[tuple[int, int]]) -> list[float]:
    return [float(part) for corner in corners for part in corner]


def coco_region(mask: np.ndarray, how: str) -> Any:
    if how == "polygons":
        return [flat(joined(rings(mask)))]
    counts, value = [], False
    run = 0
    for pixel in mask.T.reshape(-1).tolist():
        if pixel != value:
            counts.append(run)
            run, value = 0, pixel
        run += 1
    return {"size": list(mask.shape), "counts": [*counts, run]}


def label_studio_rle(mask: np.ndarray) -> list[int]:
    """Runs of RGBA, where only the opacity differs from black, bit by bit."""
    values = np.repeat(mask.reshape(-1).astype(int) * 255, 4)
    sizes = (3, 4, 8, 16)
    bits = f"{len(values):032b}" + f"{8 - 1:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    at = 0
    while at < len(values):
        end = at + 1
        while end < len(values) and values[end] == values[at] and end - at < 1 << 16:
            end += 1
        which = next(i for i, size in enumerate(sizes) if end - at <= 1 << size)
        length = end - at
        if length == 1:  # the flag for values that are each written out
            bits += f"0{which:02b}{0:0{sizes[which]}b}{values[at]:08b}"
        else:
            bits += f"1{which:02b}{length - 1:0{sizes[which]}b}{values[at]:08b}"
        at = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
