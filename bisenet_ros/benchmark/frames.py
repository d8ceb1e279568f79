"""Camera frames for the benchmark: real ones if the sample drive is available."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bisenet_ros.system.optional import installed
from bisenet_ros.system.share import sample_bag

TOPICS = ("/camera/image_raw/compressed", "/camera/labels/compressed")
COUNT = 8
STEP = 12  # every 12th of the drive's 101 frames, so that they differ


@dataclass(frozen=True)
class Frames:
    """bgr8 frames of one size, as in a camera driver's messages.

    Attributes:
        data: height × width × 3 bytes each.
        height, width: of all frames.
        source: where they come from.
    """

    data: list[bytes]
    height: int
    width: int
    source: str


def read_frames(size: tuple[int, int]) -> Frames:
    """Frames of ``size`` (height, width): the sample drive's, scaled and cropped, or synthetic."""
    drive = sample_bag()
    if drive is not None:
        images, source = _drive_images(drive), f"{COUNT} frames of {drive.name}"
    else:
        images, source = [_synthetic_image(seed) for seed in range(COUNT)], "synthetic images"
    return Frames([_cover(image, size).tobytes() for image in images], *size, source)


def _drive_images(drive: Path) -> list[np.ndarray]:
    if not installed("rosbags"):
        return [image for path in drive.glob("*.mcap") for image in jpegs_in(path, COUNT)]
    from bisenet_ros.recordings.labelled_bag import Drive

    numbers = [STEP * index for index in range(COUNT)]
    frames = Drive.open(drive, *TOPICS).read(numbers)
    return [cv2.cvtColor(frames[number][0], cv2.COLOR_RGB2BGR) for number in numbers]


def jpegs_in(path: Path, count: int) -> list[np.ndarray]:
    """Some images, (H, W, 3) uint8 BGR, of a bag that is not compressed, without a bag library.

    It holds JPEG files as they are, and these are found by how they begin: what a GPU's machine
    needs to measure with, where only torch is installed.
    """
    content = path.read_bytes()
    starts = [match.start() for match in re.finditer(b"\xff\xd8\xff", content)]
    chosen = starts[:: max(1, len(starts) // count)][:count]
    pieces = (content[start : start + 2**20] for start in chosen)
    decoded = (cv2.imdecode(np.frombuffer(piece, np.uint8), cv2.IMREAD_COLOR) for piece in pieces)
    return [image for image in decoded if image is not None]


def _synthetic_image(seed: int) -> np.ndarray:
    """Noisy blobs of colour: neither a flat image nor white noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (18, 24, 3), np.uint8)
    smooth = cv2.resize(coarse, (480, 360), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    return np.clip(smooth + random.integers(-10, 11, smooth.shape), 0, 255).astype(np.uint8)


def _cover(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale the image to cover ``size`` and crop the centre, which keeps the aspect ratio."""
    factor = max(target / side for target, side in zip(size, image.shape[:2], strict=True))
    height, width = (max(w, round(factor * s)) for w, s in zip(size, image.shape[:2], strict=True))
    large = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return np.ascontiguousarray(large[top : top + size[0], left : left + size[1]])
