"""One recording held out: it is val, wherever the set itself had put its images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import folder, noise, write

from bisenet_ros.cli import main
from bisenet_ros.datasets import DatasetOptions, open_set
from bisenet_ros.datasets.base import LabelledSet, Sample
from bisenet_ros.datasets.camvid import CAMVID
from bisenet_ros.datasets.holding_out import divided_by_group
from bisenet_ros.datasets.registry import open_every_split
from bisenet_ros.errors import ArgumentError, DataError

# Two drives in train; val goes on with the second.
DRIVES = {"train": ("a_01", "a_02", "b_01"), "val": ("b_02", "b_03"), "test": ("a_09",)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A CamVid of six images, each labelled with an id of its own."""
    for split, names in DRIVES.items():
        for name in names:
            number = len(list(tmp_path.rglob("labels/*.png")))
            write(tmp_path / split / f"images/{name}.png", noise())
            write(tmp_path / split / f"labels/{name}.png", np.full((8, 10), number, np.uint8))
    return tmp_path


def held(group: str, group_by: str = "prefix") -> DatasetOptions:
    return DatasetOptions(group_by=group_by, hold_out=group)


def names(labelled: LabelledSet) -> list[str]:
    return [sample.name for sample in labelled.samples]


def test_the_drive_is_val_whatever_split_it_was_in(root: Path):
    train, val = (open_set("camvid", root, split, held("b")) for split in ("train", "val"))
    assert names(train) == ["a_01", "a_02"] and train.split == "train"
    assert names(val) == ["b_01", "b_02", "b_03"] and val.split == "val"
    assert [int(val.read(index)[1][0, 0]) for index in range(3)] == [2, 3, 4]
    assert names(open_set("camvid", root, "train", held("a"))) == ["b_01", "b_02", "b_03"]


def test_test_images_stay_out_of_it(root: Path):
    _, splits = open_every_split("auto", root, held("b"))
    found = {split: names(labelled) for split, labelled in splits.items()}
    assert found == {
        "train": ["a_01", "a_02"],
        "val": ["b_01", "b_02", "b_03"],
        "test": ["a_09"],
    }
    assert names(open_set("camvid", root, "test", DatasetOptions())) == ["a_09"]


def test_a_set_without_splits_is_divided_by_group_alone(tmp_path: Path):
    root = folder(tmp_path)  # half of the images lie in deep/
    train, val = (
        open_set("folder", root, split, held("deep", "folder")) for split in ("train", "val")
    )
    assert all("deep" in name for name in names(val))
    assert not any("deep" in name for name in names(train))
    assert len(train) + len(val) == 10


def test_groups_of_classes_are_made_afterwards(root: Path):
    options = DatasetOptions(group_by="prefix", hold_out="b", classes="road,pole")
    val = open_set("camvid", root, "val", options)
    assert val.labels.names == ("road", "pole")
    assert [int(val.read(index)[1][0, 0]) for index in range(3)] == [1, 0, 255]


def test_what_cannot_be_held_out(root: Path):
    with pytest.raises(ArgumentError, match="nothing says what a group is; pass group_by"):
        open_set("camvid", root, "val", DatasetOptions(hold_out="b"))
    with pytest.raises(DataError, match=r"is 'c'; .* has the groups 'a' \(2\), 'b' \(3\); expect"):
        open_set("camvid", root, "val", held("c"))
    with pytest.raises(DataError, match="expected one of at least two"):
        open_set("camvid", root, "val", held("x", "()"))
    with pytest.raises(ArgumentError, match="name the group to hold_out"):
        open_set("camvid", root, "val", DatasetOptions(group_by="prefix"))


def test_the_command_shows_the_split(root: Path, tmp_path: Path):
    told = tmp_path / "told.json"
    line = ["data", str(root), "--group-by", "prefix", "--hold-out", "a", "--json", str(told)]
    assert main(line) == 0
    assert json.loads(told.read_text())["splits"] == {"train": 3, "val": 2, "test": 1}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9), st.booleans()), unique=True))
def test_every_image_is_on_one_side(images: list[tuple[int, int, bool]]):
    """Images of the same name in both splits are two images, each decoded by its own split."""
    splits = {}
    for split in ("train", "val"):
        samples = tuple(
            Sample(f"d{group}/{number}", Path(split), Path(split))
            for group, number, in_train in images
            if in_train is (split == "train")
        )

        def decode(sample: Sample, split: str = split) -> np.ndarray:
            return np.full((1, 1), split == "train", np.uint8)

        splits[split] = LabelledSet(CAMVID, samples, decode, (8, 8), "", "", split)
    options = held("d0", "folder")
    groups = {group for group, *_ in images}
    if 0 not in groups or len(groups) < 2:
        with pytest.raises(DataError):
            divided_by_group(splits, options)
        return
    made = divided_by_group(splits, options)
    assert len(made["train"]) + len(made["val"]) == len(images)
    assert all(name.startswith("d0/") for name in names(made["val"]))
    assert not any(name.startswith("d0/") for name in names(made["train"]))
    for part in made.values():
        assert all(part.decode(s)[0, 0] == (s.image == Path("train")) for s in part.samples)
