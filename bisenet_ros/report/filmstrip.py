"""Small pictures spread evenly over a recording whose length is not known beforehand."""

from __future__ import annotations

import cv2
import numpy as np

from bisenet_ros.recordings.codec import encode_jpeg

SHOWN = 24
HEIGHT = 72  # pixels
QUALITY = 75


class Filmstrip:
    """Collects pictures; whenever there are too many, every other one is dropped.

    Args:
        shown: how many :meth:`pictures` returns at most; at most twice as many are held.
    """

    def __init__(self, shown: int = SHOWN) -> None:
        self.shown = shown
        self._every = 1
        self._held: list[tuple[int, np.ndarray]] = []

    def add(self, place: int, rgb: np.ndarray) -> None:
        """Offer the picture of a frame, (H, W, 3) uint8; ``place`` counts frames from 0."""
        if place % self._every:
            return
        height, width = rgb.shape[:2]
        size = (max(1, round(width * HEIGHT / height)), HEIGHT)
        way = cv2.INTER_AREA if height > HEIGHT else cv2.INTER_LINEAR
        small = cv2.resize(rgb, size, interpolation=way)
        self._held.append((place, small))
        if len(self._held) > 2 * self.shown:
            self._every *= 2
            self._held = [entry for entry in self._held if entry[0] % self._every == 0]

    def pictures(self) -> list[tuple[int, bytes]]:
        """(place, JPEG), evenly spread, in order."""
        count = min(self.shown, len(self._held))
        chosen = (self._held[(2 * k + 1) * len(self._held) // (2 * count)] for k in range(count))
        return [(place, encode_jpeg(small, QUALITY)) for place, small in chosen]
