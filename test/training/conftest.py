"""Fixtures of the training tests."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

NAMES = ("floor", "box", "belt")


@pytest.fixture(scope="package")
def folder(tmp_path_factory) -> Path:
    """Eight pictures of coloured blocks, whose colour is their class."""
    root = tmp_path_factory.mktemp("blocks")
    random = np.random.default_rng(0)
    colours = np.array([[40, 40, 40], [200, 60, 40], [50, 80, 210]], np.uint8)
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for i in range(8):
        coarse = random.integers(0, 3, (3, 4), np.uint8)
        ids = cv2.resize(coarse, (128, 96), interpolation=cv2.INTER_NEAREST)
        noise = random.integers(0, 30, (96, 128, 3), np.uint8)
        cv2.imwrite(str(root / f"images/{i}.png"), (colours[ids] + noise)[..., ::-1])
        cv2.imwrite(str(root / f"masks/{i}.png"), ids)
    classes = [{"name": n, "color": [60 * i, 90, 200]} for i, n in enumerate(NAMES)]
    (root / "labels.yaml").write_text(yaml.safe_dump({"classes": classes}))
    return root
