"""Which pixels polygons cover.

One rule for every tool: a pixel belongs to a polygon if its centre lies inside. Pixel (column x,
row y) covers x to x + 1 and y to y + 1, as the canvases of the tools show it, so that the polygon
(0, 0), (w, 0), (w, h), (0, h) is the whole image. Where two polygons share an edge, every pixel
belongs to one of them and none to both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

FAR = 1e6  # pixels; no picture is larger
MOST_CROSSINGS = 50_000_000  # of edges and rows: 400 MB


def points(written: Any) -> np.ndarray:
    """Corners (n, 2) float64 x, y from a list of pairs, or of x and y in turn as COCO has it.

    Raises:
        ValueError: they are not numbers, not in pairs, not finite, or fewer than three.
    """
    try:
        corners = np.asarray(written, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("its corners are not numbers in pairs") from error
    if corners.ndim == 1 and corners.size % 2 == 0:
        corners = corners.reshape(-1, 2)
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise ValueError("its corners are not pairs of x and y")
    if len(corners) < 3:
        raise ValueError(f"it has {len(corners)} corners; expected 3 or more")
    if not np.isfinite(corners).all():
        raise ValueError("a corner of it is not a finite number")
    return corners


def check_inside(corners: np.ndarray, size: tuple[int, int]) -> None:
    """See that a polygon is not wholly outside of an image (height, width); ValueError if it is.

    A part may be: tools let people draw across the border.
    """
    height, width = size
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        raise ValueError(
            f"it lies outside of the image: x {left:g} to {right:g} and y {top:g} to {bottom:g}, "
            f"in an image of {width}×{height}"
        )


def fill(rings: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """The pixels inside an odd number of rings.

    Args:
        rings: corners (n, 2) float64 x, y each; the last is joined to the first.
        size: (height, width) of the image.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: there are far too many corners, or they are too far away.
    """
    height, width = size
    crossed = np.zeros((height, width + 1), np.int32)
    for ring in rings:
        if np.abs(ring).max() > FAR:
            raise ValueError(f"a corner of it is more than {FAR:g} pixels away")
        rows, columns = _crossings(ring, height)
        np.add.at(crossed, (rows, np.clip(columns, 0, width)), 1)
    return (np.cumsum(crossed, axis=1) & 1).astype(bool)[:, :width]


def _crossings(ring: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) where the ring's edges cross the middles of rows.

    The column is the first whose middle is not left of the crossing; it may lie beyond the image.
    """
    starts, ends = ring, np.roll(ring, -1, axis=0)
    downwards = starts[:, 1] <= ends[:, 1]
    upper = np.where(downwards[:, None], starts, ends)
    lower = np.where(downwards[:, None], ends, starts)
    # Rows whose middle, y + 0.5, is at or below the upper end and above the lower one.
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(lower[:, 1] - 0.5), 0, height).astype(np.int64)
    counts = last - first
    total = int(counts.sum())
    if total > MOST_CROSSINGS:
        raise ValueError(f"its edges cross {total} rows; expected {MOST_CROSSINGS} at most")
    edge = np.repeat(np.arange(len(ring)), counts)
    rows = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    rise = lower[edge] - upper[edge]
    share = (rows + 0.5 - upper[edge, 1]) / rise[:, 1]
    crossings = upper[edge, 0] + share * rise[:, 0]
    return rows, np.ceil(crossings - 0.5).astype(np.int64)


def rectangle(left: float, top: float, width: float, height: float, turn: float = 0) -> np.ndarray:
    """Corners of a rectangle turned clockwise by ``turn`` degrees about its upper left one."""
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    return turned(corners + (left, top), turn, np.array([left, top]))


def ellipse(
    centre: tuple[float, float], radii: tuple[float, float], turn: float = 0, corners: int = 180
) -> np.ndarray:
    """Corners of an ellipse turned clockwise by ``turn`` degrees about its centre."""
    angles = np.arange(corners) * 2 * np.pi / corners
    circle = np.stack([np.cos(angles), np.sin(angles)], 1) * radii
    return turned(circle + centre, turn, np.array(centre))


def turned(corners: np.ndarray, degrees: float, about: np.ndarray) -> np.ndarray:
    """Corners (n, 2) x, y turned clockwise on a screen, where y points down, about a point."""
    if not degrees:
        return corners
    turn = np.deg2rad(degrees)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return (corners - about) @ rotation + about
