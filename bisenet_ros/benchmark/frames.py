"""Camera frames to measure with: real ones where the sample drive is at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

DRIVE = Path(__file__).resolve().parents[2] / "test/data/camvid_drive"
TOPICS = ("/camera/image_raw/compressed", "/camera/labels/compressed")
COUNT = 8
STEP = 12  # of the drive's 101 frames, so that the chosen ones differ


@dataclass(frozen=True)
class Frames:
    """bgr8 frames of one size, as a camera driver's messages hold them.

    Attributes:
        data: height × width × 3 bytes each.
        height, width: of all.
        source: what they show.
    """

    data: list[bytes]
    height: int
    width: int
    source: str


def read_frames(size: tuple[int, int]) -> Frames:
    """Frames of ``size`` (height, width): the sample drive's, enlarged and cut, else made up."""
    if (DRIVE / "metadata.yaml").is_file():
        images, source = _of_drive(), f"{COUNT} frames of {DRIVE.name}"
    else:
        images, source = [_made_up(seed) for seed in range(COUNT)], "made-up pictures"
    return Frames([_cover(image, size).tobytes() for image in images], *size, source)


def _of_drive() -> list[np.ndarray]:
    from bisenet_ros.recordings.labelled_bag import Drive

    numbers = [STEP * index for index in range(COUNT)]
    found = Drive.open(DRIVE, *TOPICS).read(numbers)
    return [cv2.cvtColor(found[number][0], cv2.COLOR_RGB2BGR) for number in numbers]


def _made_up(seed: int) -> np.ndarray:
    """Blobs of colour with noise: neither flat nor white noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (18, 24, 3), np.uint8)
    smooth = cv2.resize(coarse, (480, 360), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    return np.clip(smooth + random.integers(-10, 11, smooth.shape), 0, 255).astype(np.uint8)


def _cover(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge until ``size`` is covered, and cut the middle out, so that shapes stay right."""
    factor = max(wanted / side for wanted, side in zip(size, image.shape[:2], strict=True))
    height, width = (max(w, round(factor * s)) for w, s in zip(size, image.shape[:2], strict=True))
    large = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return np.ascontiguousarray(large[top : top + size[0], left : left + size[1]])
