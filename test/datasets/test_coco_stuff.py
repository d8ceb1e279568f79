"""COCO-Stuff: with things and without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trees import coco_stuff, noise, write

from bisenet_ros.datasets import DatasetOptions, open_set
from bisenet_ros.errors import DataError

GAPS = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)  # COCO's ids that have no segments, less one


def test_coco_stuffs_ids_become_171(tmp_path: Path):
    ids = np.array([[i for i in range(182) if i not in GAPS] + [255]], np.uint8)
    data = open_set("coco-stuff", coco_stuff(tmp_path, ids), "val")
    assert data.read(0)[1].tolist() == [[*range(171), 255]]
    names = data.labels.names
    assert len(names) == 171 and names[0] == "person" and names[170] == "wood"
    assert names[79] == "toothbrush" and names[80] == "banner" and names[11] == "stop sign"


def test_coco_stuff_without_things(tmp_path: Path):
    ids = np.array([[i for i in range(182) if i not in GAPS] + [255]], np.uint8)
    data = open_set("coco-stuff", coco_stuff(tmp_path, ids), "val", DatasetOptions(stuff_only=True))
    assert data.read(0)[1].tolist() == [[255] * 80 + [*range(91), 255]]
    assert len(data.labels) == 91 and data.labels.names[0] == "banner"
    assert "91 stuff classes" in data.source


def test_coco_stuff_errors(tmp_path: Path):
    data = open_set("coco-stuff", coco_stuff(tmp_path, np.full((2, 3), 11, np.uint8)), "val")
    with pytest.raises(DataError, match="000000000139.png holds id 11 .*coco-stuff.yaml has 0 to"):
        data.read(0)
    with pytest.raises(DataError, match="no labelled split 'test'"):
        open_set("coco-stuff", tmp_path, "test")
    with pytest.raises(DataError, match="images/train2017 is no folder"):
        open_set("coco-stuff", tmp_path, "train")
    write(tmp_path / "images/val2017/000000000140.jpg", noise())
    with pytest.raises(DataError, match="annotations/val2017/000000000140.png is missing"):
        open_set("coco-stuff", tmp_path, "val")
