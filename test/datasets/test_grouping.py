"""Images that must not be divided between train and val; classes chosen and grouped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import folder, write_indexed, write_labels

from bisenet_ros.datasets import DatasetOptions, open_set
from bisenet_ros.datasets.grouping import group_of
from bisenet_ros.datasets.registry import open_every_split
from bisenet_ros.datasets.splitting import held_out
from bisenet_ros.errors import ArgumentError, DataError


@pytest.mark.parametrize(
    ("group_by", "name", "group"),
    [
        ("folder", "hall/monday/a_17", "hall/monday"),
        ("folder", "a_17", ""),
        ("prefix", "0001TP_006690", "0001TP"),
        ("prefix", "hall/drive-2.0042", "hall/drive-2"),
        ("prefix", "hall/drive-2.frame0042", "hall/drive-2.frame"),
        ("prefix", "kitchen", "kitchen"),
        ("prefix", "2026-11-21 14.03.59", "2026-11-21 14.03"),
        (r"^(\w+?)_", "bag7_cam1_000123", "bag7"),
        (r"bag\d", "x/bag7_cam1_000123", "bag7"),
        ("", "a_17", "a_17"),
    ],
)
def test_the_group_of_a_name(group_by: str, name: str, group: str):
    assert group_of(group_by)(name) == group


def test_what_is_not_a_group():
    with pytest.raises(ArgumentError, match="expected folder, prefix or a regular expression"):
        group_of("(")
    with pytest.raises(DataError, match=r"'bag\\\\d' is not found in the image name 'a_17'"):
        group_of(r"bag\d")("a_17")


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 99)), min_size=2, unique=True),
    st.floats(0.01, 0.99),
    st.integers(0, 5),
)
def test_no_group_is_divided_and_the_share_is_near(pairs, share, seed):
    names = [f"drive{group}/f_{number}" for group, number in pairs]
    groups = {name.split("/")[0]: 0 for name in names}
    for name in names:
        groups[name.split("/")[0]] += 1
    options = DatasetOptions(val_share=share, seed=seed, group_by="folder")
    if len(groups) == 1:
        with pytest.raises(DataError, match="expected at least 2 groups"):
            held_out(names, options)
        return
    held = held_out(names, options)
    assert 0 < len(held) < len(names)
    assert held == held_out(names[::-1], options)
    sides = {name.split("/")[0]: set() for name in names}
    for name in names:
        sides[name.split("/")[0]].add(name in held)
    assert all(len(side) == 1 for side in sides.values())
    assert abs(len(held) - share * len(names)) <= max(groups.values())


def test_a_folder_is_split_by_recordings(tmp_path: Path):
    root = folder(tmp_path)  # half of the images lie in deep/
    options = DatasetOptions(val_share=0.4, group_by="folder")
    sides = [
        {"deep" in sample.name for sample in open_set("folder", root, split, options).samples}
        for split in ("train", "val")
    ]
    assert sorted(map(sorted, sides)) == [[False], [True]]
    (root / "train.txt").write_text("00\n")
    (root / "val.txt").write_text("02\n")
    with pytest.raises(ArgumentError, match="says itself what is train; drop group_by"):
        open_set("folder", root, "train", options)


def grouped(tmp_path: Path, classes: str):
    """A set of floor, wall and thing, opened with other classes."""
    root = tmp_path / "set"
    folder(root)
    ids = np.array([[0, 1, 2, 255]], np.uint8).repeat(8, 0).repeat([3, 3, 2, 2], 1)
    write_indexed(root / "masks/00.png", ids)
    write_labels(root)
    data = open_set("folder", root, "train", DatasetOptions(classes=classes, val_share=0.01))
    index = [sample.name for sample in data.samples].index("00")
    return data, data.read(index)[1][0, [0, 3, 6, 8]].tolist()


def test_classes_by_name(tmp_path: Path):
    data, ids = grouped(tmp_path, "thing, floor")
    assert data.labels.names == ("thing", "floor") and ids == [1, 255, 0, 255]
    assert data.groups == {"thing": ("thing",), "floor": ("floor",)}
    assert data.source.endswith("grouped into 2")


def test_other_takes_the_rest_but_not_what_is_unlabelled(tmp_path: Path):
    data, ids = grouped(tmp_path, "thing,other")
    assert data.labels.names == ("thing", "other") and ids == [1, 1, 0, 255]
    assert data.groups == {"thing": ("thing",), "other": ("floor", "wall")}


def test_classes_by_file(tmp_path: Path):
    path = tmp_path / "groups.yaml"
    path.write_text(
        "classes:\n"
        "  - {id: 0, name: free, color: [0, 255, 0], from: [floor]}\n"
        "  - {id: 1, name: taken, color: [255, 0, 0], rest: true}\n"
    )
    data, ids = grouped(tmp_path, str(path))
    assert data.labels.names == ("free", "taken") and ids == [0, 1, 1, 255]
    _, splits = open_every_split("auto", tmp_path / "set", DatasetOptions(classes=str(path)))
    assert {split.labels.names for split in splits.values()} == {("free", "taken")}


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ("floor,roof", "'roof', which is not a class here; expected names of floor, wall, thing"),
        ("floor,floor", "name 'floor' twice"),
        ("other", "name none of floor, wall, thing"),
        ("nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_classes_that_are_not_there(tmp_path: Path, classes: str, said: str):
    with pytest.raises(DataError, match=said):
        grouped(tmp_path, classes)
