"""Hugging Face's parquet and image folders: what the readers of all formats do not ask."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from drawn import drawn_images
from exports import image_folder, parquet

from bisenet_ros.datasets import DatasetOptions, open_set
from bisenet_ros.datasets.registry import open_every_split
from bisenet_ros.errors import ArgumentError, DataError

IMAGES = drawn_images(2, 1)


def test_parquet_without_the_package_names_the_extra(tmp_path: Path, monkeypatch):
    root = parquet(tmp_path / "set", IMAGES)
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(ArgumentError, match=r"needs datasets.*bisenet_ros\[huggingface\]"):
        open_every_split("auto", root)


def test_a_labels_yaml_instead_of_the_hubs_names(tmp_path: Path):
    root = image_folder(tmp_path / "set", IMAGES)
    (root / "id2label.json").unlink()
    with pytest.raises(DataError, match="does not say what the ids in its masks mean; add id2lab"):
        open_every_split("auto", root)
    classes = [{"name": f"c{i}", "color": [i, 0, 0]} for i in range(6)]
    (root / "labels.yaml").write_text(json.dumps({"classes": classes[1:] + classes[:1]}))
    labelled = open_set("auto", root, "train")
    assert labelled.labels.names == ("c1", "c2", "c3", "c4", "c5", "c0")
    assert np.array_equal(labelled.read(0)[1], IMAGES[0].ids)


def test_ids_of_no_class(tmp_path: Path):
    root = image_folder(tmp_path / "set", IMAGES)
    names = json.loads((root / "id2label.json").read_text())
    (root / "id2label.json").write_text(json.dumps({**names, "0": "unlabeled"}))
    labelled = open_set("auto", root, "train")
    expected = np.where(IMAGES[0].ids == 0, 255, IMAGES[0].ids - 1)
    assert len(labelled.labels) == 5 and np.array_equal(labelled.read(0)[1], expected)


def spoil_list(root: Path, *lines: str) -> None:
    (root / "train/metadata.jsonl").write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"file_name": "t0.jpg", "mask_file_name": "masks/t7.png"}'], "lists 'masks/t7.png'"),
        (['{"file_name": "t0.jpg", "mask_file_name": null}'], "entry 1 is .*--skip-unlabelled"),
        (['{"file_name": "t0.jpg", "mask_file_name": "masks/t0.png"}', "{"], "not a list of"),
    ],
)
def test_broken_lists(tmp_path: Path, lines: list[str], said: str):
    root = image_folder(tmp_path / "set", IMAGES)
    spoil_list(root, *lines)
    with pytest.raises(DataError, match=said) as error:
        open_set("hugging-face", root, "train")
    assert "\n" not in str(error.value)


def test_images_without_a_mask_may_be_left_out(tmp_path: Path):
    root = image_folder(tmp_path / "set", IMAGES)
    whole = '{"file_name": "t1.jpg", "mask_file_name": "masks/t1.png"}'
    spoil_list(root, whole, '{"file_name": "t0.jpg", "mask_file_name": ""}')
    options = DatasetOptions(skip_unlabelled=True)
    assert [s.name for s in open_set("auto", root, "train", options).samples] == ["train/t1"]


def test_broken_parquet(tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    root = parquet(tmp_path / "set", IMAGES)
    path = root / "data/train-00000-of-00001.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as parquet") as error:
        open_set("auto", root, "train")
    assert "\n" not in str(error.value)
    datasets.Dataset.from_dict({"text": ["a"], "label": [3]}).to_parquet(path)
    with pytest.raises(DataError, match="has the columns text, label; expected one of image"):
        open_set("auto", root, "train")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Image()})
    rows = {"image": [None], "label": [None]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)
    with pytest.raises(DataError, match="row 0 of train has no image in 'image'"):
        open_set("auto", root, "train")
    (root / "id2label.json").write_text('{"road": 0}')
    with pytest.raises(DataError, match="is not of the form"):
        open_set("auto", root, "train")
