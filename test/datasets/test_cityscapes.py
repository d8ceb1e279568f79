"""Cityscapes: ids and train ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trees import cityscapes

from bisenet_ros.datasets import open_set
from bisenet_ros.errors import DataError


def test_cityscapes_34_ids_become_19(tmp_path: Path):
    ids = np.array([[*range(34), 255]], np.uint8)
    data = open_set("cityscapes", cityscapes(tmp_path, ids), "val")
    assert [s.name for s in data.samples] == ["aachen_000000_000019", "bochum_000000_000019"]
    trained = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    expected = [trained.index(i) if i in trained else 255 for i in range(34)]
    assert data.read(1)[1].tolist() == [[*expected, 255]]
    assert len(data.labels) == 19 and data.resolution == (512, 1024)
    assert data.labels.names[0] == "road" and data.labels.names[18] == "bicycle"


def test_cityscapes_train_ids_are_taken_as_they_are(tmp_path: Path):
    ids = np.array([[*range(19), 255]], np.uint8)
    data = open_set("cityscapes", cityscapes(tmp_path, ids, "labelTrainIds"), "val")
    assert np.array_equal(data.read(0)[1], ids)


def test_cityscapes_errors(tmp_path: Path):
    data = open_set("cityscapes", cityscapes(tmp_path, np.full((2, 2), 34, np.uint8)), "val")
    with pytest.raises(DataError, match="aachen_000000_000019_gtFine_labelIds.png contains id 34"):
        data.read(0)
    (tmp_path / "gtFine/val/bochum/bochum_000000_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(DataError, match="bochum_000000_000019_gtFine_labelIds.png is missing"):
        open_set("cityscapes", tmp_path, "val")
    with pytest.raises(DataError, match="has the folders val"):
        open_set("cityscapes", tmp_path, "train")
    for path in tmp_path.rglob("*labelIds.png"):
        path.unlink()
    with pytest.raises(DataError, match="labelIds.png is missing"):
        open_set("cityscapes", tmp_path, "val")
