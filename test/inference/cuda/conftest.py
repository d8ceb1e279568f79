"""Fixtures for the CUDA path, most of which runs on the CPU too.

Triton's kernels run on the CPU in Triton's interpreter only, which has to be switched on before
Triton is imported: test_interpreter.py starts test_kernels.py in a process of its own for that.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from bisenet_ros.checkpoints import load

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
KERNELS_RUN = INTERPRETED or torch.cuda.is_available()

collect_ignore = [] if KERNELS_RUN else ["test_kernels.py"]


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Images this small are done before a second thread has been told."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where kernels run in this process."""
    return torch.device("cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu")


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    """Makes (height, width, 3) uint8 images: blobs of colour with noise."""

    def make(height: int, width: int, seed: int = 0) -> np.ndarray:
        random = np.random.default_rng(seed)
        coarse = random.integers(0, 256, (max(1, height // 16), max(1, width // 16), 3), np.uint8)
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.clip(smooth + random.integers(-10, 11, smooth.shape), 0, 255).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def slow_scores() -> Callable[[torch.Tensor, tuple[int, int]], np.ndarray]:
    """Bilinear logits of every pixel, (n, H, W) float64, pixel by pixel from the definition."""

    def place(target: int, count: int, source: int) -> tuple[int, int, float]:
        at = max((target + 0.5) * source / count - 0.5, 0.0)
        first = min(int(at), source - 1)
        return first, min(first + 1, source - 1), at - first

    def scores(logits: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
        corner = logits.double().cpu().numpy()
        classes, height, width = corner.shape
        full = np.empty((classes, *size))
        for y in range(size[0]):
            top, bottom, down = place(y, size[0], height)
            for x in range(size[1]):
                left, right, along = place(x, size[1], width)
                upper = corner[:, top, left] * (1 - along) + corner[:, top, right] * along
                lower = corner[:, bottom, left] * (1 - along) + corner[:, bottom, right] * along
                full[:, y, x] = upper * (1 - down) + lower * down
        return full

    return scores


@pytest.fixture(scope="session")
def camera_scores(small_weights) -> Callable[[np.ndarray], np.ndarray]:
    """Logits (n, H, W) float64 of an RGB image's pixels, one obvious step after another."""
    network, card = load(small_weights)
    network = network.double()

    def scores(rgb: np.ndarray) -> np.ndarray:
        height, width = card.resolution
        small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
        normal = (small / 255 - np.array(card.mean)) / np.array(card.std)
        with torch.no_grad():
            logits = network(torch.from_numpy(normal.transpose(2, 0, 1).copy())[None])
            full = torch.nn.functional.interpolate(
                logits, rgb.shape[:2], mode="bilinear", align_corners=False
            )
        return full[0].numpy()

    return scores


@pytest.fixture(scope="session")
def assert_same_class() -> Callable[..., None]:
    """Checks a mask against scores: equal where the best class is clearly best, else one of those
    that tie."""

    def check(mask: np.ndarray, scores: np.ndarray, margin: float = 1e-4) -> None:
        assert mask.dtype == np.uint8 and mask.shape == scores.shape[1:]
        chosen = np.take_along_axis(scores, mask[None].astype(int), 0)[0]
        assert (scores.max(0) - chosen).max() < margin

    return check
