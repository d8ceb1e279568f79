"""Data that tests of several commands read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from bisenet_ros.inference import Segmenter

SIZE = (96, 128)


@pytest.fixture(scope="session")
def self_labelled(small_weights, tmp_path_factory) -> Path:
    """Images labelled by the small network itself, so that its float32 mIoU is 1."""
    root = tmp_path_factory.mktemp("labelled")
    segmenter = Segmenter(small_weights, device="cpu", precision="fp32")
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    classes = [
        {"name": name, "color": list(colour)}
        for name, colour in zip(segmenter.labels.names, segmenter.labels.colours, strict=True)
    ]
    (root / "labels.yaml").write_text(yaml.safe_dump({"classes": classes}))
    (root / "val.txt").write_text("".join(f"{index}\n" for index in range(6)))
    random = np.random.default_rng(0)
    for index in range(6):
        coarse = random.integers(0, 256, (6, 8, 3), np.uint8)
        image = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / f"images/{index}.png"), image)
        cv2.imwrite(str(root / f"masks/{index}.png"), segmenter([image], "bgr")[0].mask)
    return root
