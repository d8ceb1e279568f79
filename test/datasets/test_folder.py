"""Anybody's folder: splits, masks, label lists."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from trees import CLASSES, folder, noise, write, write_indexed, write_labels

from bisenet_ros.datasets import DatasetOptions, open_set
from bisenet_ros.datasets.splitting import held_out
from bisenet_ros.errors import DataError


def names(root: Path, split: str, **options: float) -> list[str]:
    data = open_set("folder", root, split, DatasetOptions(**options))  # type: ignore[arg-type]
    return [sample.name for sample in data.samples]


def test_a_folder_is_split_by_share_the_same_way_each_time(tmp_path: Path):
    root = folder(tmp_path)
    train, val = names(root, "train"), names(root, "val")
    assert len(val) == 2 and len(train) == 8
    assert sorted(train + val) == sorted(f"{'deep/' * (i % 2)}{i:02d}" for i in range(10))
    assert names(root, "val") == val and names(root, "train") == train
    assert len(names(root, "val", val_share=0.5)) == 5
    assert any(names(root, "val", seed=seed) != val for seed in range(2, 6))


def test_shares_do_not_depend_on_the_machine_and_hardly_on_other_images():
    few = [f"{i}" for i in range(100)]
    fifth = DatasetOptions(val_share=0.2, seed=1)
    held = held_out(few, fifth)
    assert len(held) == 20 and held == held_out(few[::-1], fifth)
    assert len(held ^ held_out([*few, "new"], fifth)) <= 2
    assert len(held_out(["a", "b"], DatasetOptions(val_share=0.01))) == 1
    assert len(held_out(["a", "b"], DatasetOptions(val_share=0.99))) == 1


def test_a_folder_is_split_by_lists(tmp_path: Path):
    root = folder(tmp_path)
    (root / "train.txt").write_text("\ufeff# mine\n00\n\ndeep/03.jpg\n")
    (root / "val.txt").write_text("02\r\n")
    assert names(root, "train") == ["00", "deep/03"] and names(root, "val") == ["02"]


def test_a_folder_is_split_by_folders(tmp_path: Path):
    folder(tmp_path / "test", 3)
    write_labels(tmp_path, source="Our hall", licence="ours", resolution=[64, 96])
    data = open_set("folder", tmp_path, "test")
    assert [sample.name for sample in data.samples] == ["00", "02", "deep/01"]
    assert data.source == f"Our hall; {tmp_path.name} test: 3 images, 3 classes"
    assert data.licence == "ours" and data.resolution == (64, 96)


def test_classes_without_colours_get_some_and_masks_hold_ids(tmp_path: Path):
    root = folder(tmp_path)
    expected = open_set("folder", root, "val")
    names = [{"name": name} for name in expected.labels.names]
    (root / "labels.yaml").write_text(yaml.safe_dump({"classes": names}))
    found = open_set("folder", root, "val")
    assert found.labels.names == expected.labels.names
    assert len(set(found.labels.colours)) == 3 and (0, 0, 0) not in found.labels.colours
    for index in range(len(found)):
        assert (found.read(index)[1] == expected.read(index)[1]).all()
    mask = found.samples[0].label
    cv2.imwrite(str(mask), np.full((8, 10, 3), found.labels.colours[1][::-1], np.uint8))
    with pytest.raises(DataError, match="is a colour image"):
        found.read(0)  # those colours were chosen here; no mask can mean them


def test_what_a_folder_does_not_say(tmp_path: Path):
    data = open_set("folder", folder(tmp_path), "val")
    assert data.licence == "not stated" and data.resolution == (8, 10)
    assert data.labels.names == ("floor", "wall", "thing")


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_masks_may_hold_ids_indices_or_colours(tmp_path: Path, bits: int):
    root = folder(tmp_path, 4, ignore=[3, [9, 9, 9]])
    (root / "val.txt").write_text("00\ndeep/01\n02\ndeep/03\n")
    ids = np.random.default_rng(0).integers(0, 4, (8, 10), np.uint8)
    colours = np.array([c["color"] for c in CLASSES] + [[9, 9, 9]], np.uint8)[ids]
    write(root / "masks/00.png", ids)
    write_indexed(root / "masks/deep/01.png", ids, bits)
    write(root / "masks/02.png", colours)
    write(root / "masks/deep/03.png", np.dstack([colours, np.full_like(ids, 128)]))
    data = open_set("folder", root, "val")
    for index in range(4):
        assert np.array_equal(data.read(index)[1], np.where(ids == 3, 255, ids))


def test_masks_of_0_and_255(tmp_path: Path):
    root = folder(tmp_path, 2)
    classes = [
        {"name": "other", "color": [0, 0, 0]},
        {"name": "floor", "color": [255] * 3, "id": 255},
    ]
    write_labels(root, classes=classes)
    ids = np.array([[0, 255, 255]], np.uint8)
    data = open_set("folder", root, "val")
    write(data.samples[0].image, noise(1, 3))
    write(data.samples[0].label, ids)
    assert data.read(0)[1].tolist() == [[0, 1, 1]]


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ({"classes": None}, "labels.yaml is not a list of classes"),
        (
            {"classes": [{"name": "a"}, {"name": "b", "color": [1, 2, 3]}]},
            "labels.yaml is not a list of classes: expected 'classes:'",
        ),
        ({"classes": [{"name": "a", "color": [0, 0, 300]}]}, "three integers from 0 to 255"),
        ({"classes": [CLASSES[0], {**CLASSES[1], "id": 0}]}, "lists id 0 2×"),
        ({"classes": [CLASSES[0], {**CLASSES[1], "id": "one"}]}, "lists id 'one'"),
        ({"classes": [CLASSES[0], {**CLASSES[1], "color": [10, 20, 30]}]}, r"\(10, 20, 30\) 2×"),
        ({"ignore": [2]}, "lists id 2 2×"),
        ({"ignore": [65536]}, "lists id 65536"),
        ({"ignore": 11}, "has ignore: 11; expected a list"),
        ({"ignore": [[0, 0]]}, r"ignores colour \(0, 0\)"),
        ({"resolution": "large"}, "has resolution 'large'"),
    ],
)
def test_broken_label_lists_are_explained(tmp_path: Path, listed: dict[str, object], said: str):
    with pytest.raises(DataError, match=said) as error:
        open_set("folder", folder(tmp_path, **listed), "val")
    assert "\n" not in str(error.value)


def test_a_label_list_that_is_no_yaml(tmp_path: Path):
    (folder(tmp_path) / "labels.yaml").write_text("classes: [")
    with pytest.raises(DataError, match="labels.yaml is not valid YAML: while parsing"):
        open_set("folder", tmp_path, "val")
    (tmp_path / "labels.yaml").unlink()
    with pytest.raises(DataError, match="labels.yaml cannot be read .*write one with 'classes:'"):
        open_set("folder", tmp_path, "val")


def test_folder_errors(tmp_path: Path):
    root = folder(tmp_path)
    with pytest.raises(DataError, match="neither test.txt nor test/images; .*images, masks"):
        open_set("folder", root, "test")
    (root / "train.txt").write_text("00\n99\n")
    with pytest.raises(DataError, match="val.txt is missing, but train.txt exists"):
        open_set("folder", root, "val")
    with pytest.raises(DataError, match="train.txt line 2 names '99'"):
        open_set("folder", root, "train")
    (root / "train.txt").write_text("# none\n")
    with pytest.raises(DataError, match="train.txt is empty"):
        open_set("folder", root, "train")
    (root / "train.txt").unlink()
    (root / "masks/04.png").unlink()
    with pytest.raises(DataError, match="masks/04.png is missing"):
        for split in ("train", "val"):
            open_set("folder", root, split)


def test_folders_of_too_few_images(tmp_path: Path):
    with pytest.raises(DataError, match="has 1 image"):
        open_set("folder", folder(tmp_path / "one", 1), "train")
    with pytest.raises(DataError, match="images is not a folder.*expected images/NAME"):
        open_set("folder", folder(tmp_path / "none", 0), "train")


def test_left_overs_of_other_systems_are_no_images(tmp_path: Path):
    root = folder(tmp_path, 2)
    (root / "images/._00.jpg").write_bytes(b"x")
    (root / "images/Thumbs.db").write_bytes(b"x")
    write(root / "masks/nobodys.png", np.zeros((1, 1), np.uint8))
    assert sorted(names(root, "train") + names(root, "val")) == ["00", "deep/01"]
