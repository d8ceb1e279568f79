"""A CamVid of six images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from trees import noise, write


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            coarse = random.integers(0, 12, (3, 4), np.uint8)
            label = cv2.resize(coarse, (128, 96), interpolation=cv2.INTER_NEAREST)
            write(tmp_path / split / f"labels/{i}.png", label)
            write(tmp_path / split / f"images/{i}.png", noise(96, 128, i))
    return tmp_path
