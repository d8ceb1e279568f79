"""A ground of painted tiles with boxes on it, and what each class costs."""

from __future__ import annotations

import numpy as np
from renderer import Box, Scene

BOX = 7
COSTS = np.full(256, -1, np.int8)
COSTS[:4] = [0, 10, 20, 30]  # a cost for each class, so that the grid shows ids
COSTS[BOX] = 100
BOXES = (
    Box(3.0, 0.2, 0.5, 0.7, 0.6, BOX, yaw=0.4),
    Box(2.2, -1.4, 0.3, 0.3, 0.3, BOX),
    Box(4.0, 1.9, 0.4, 1.2, 2.0, BOX, yaw=-0.2),
)


def scene(boxes: tuple[Box, ...] = (), tile: float = 0.6) -> Scene:
    """Tiles in four classes at random; more than 12 m ahead, 5 m to both sides."""
    paint = np.random.default_rng(6).integers(0, 4, (17, 21), np.uint8)
    return Scene(paint, tile, (-0.57, -8.03), boxes)
