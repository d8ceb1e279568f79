"""Which format a folder is of, and what is said where that is not clear."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from drawn import drawn_images
from exports import coco, cvat, folder, labelme
from trees import cityscapes, coco_stuff, noise, write

from bisenet_ros.datasets import DATASETS, open_set
from bisenet_ros.datasets.recognition import Recognised, recognise
from bisenet_ros.datasets.registry import open_every_split
from bisenet_ros.errors import ArgumentError, DataError

IMAGES = drawn_images(2, 1)
ASK = {name: spec.recognise for name, spec in DATASETS.items()}


def found(root: Path) -> Recognised:
    return recognise(root, ASK)


def test_the_public_sets_are_recognised(camvid: Path, tmp_path_factory: pytest.TempPathFactory):
    assert found(camvid) == Recognised(
        "camvid", "it has train/images/ and train/labels/ with PNGs, and no labels.yaml", camvid
    )
    ids = np.zeros((2, 2), np.uint8)
    root = cityscapes(tmp_path_factory.mktemp("cityscapes"), ids)
    assert found(root).format == "cityscapes"
    assert list(open_every_split("auto", root)[1]) == ["val"]
    root = coco_stuff(tmp_path_factory.mktemp("stuff"), ids)
    assert found(root).format == "coco-stuff"
    assert list(open_every_split("auto", root)[1]) == ["val"]
    assert len(open_set("auto", camvid, "train")) == 4


def test_a_folder_of_splits(tmp_path: Path):
    for split in ("train", "val", "night"):
        folder(tmp_path / split, IMAGES)
    (tmp_path / "train/labels.yaml").rename(tmp_path / "labels.yaml")
    assert found(tmp_path).why == "it has night/images/, night/masks/ and labels.yaml"
    _, splits = open_every_split("auto", tmp_path)
    assert list(splits) == ["night", "train", "val"]


def test_several_that_fit_are_listed(tmp_path: Path):
    cvat(tmp_path, IMAGES)
    coco(tmp_path, IMAGES)
    said = r"may be of 2 formats \(cvat: it has labelmap.txt .*; coco: .*\); name one with --data"
    with pytest.raises(ArgumentError, match=said):
        open_set("auto", tmp_path, "train")
    assert len(open_set("cvat", tmp_path, "train")) == len(open_set("coco", tmp_path, "train")) == 2


@pytest.mark.parametrize(
    ("files", "seen", "advice"),
    [
        ([], "it holds no files", "there are no images: copy them in"),
        (["notes.txt"], "it holds 1 .txt, and no folders", "there are no images"),
        (["a.jpg", "b.jpg"], "2 .jpg, and no folders", "images but no labels: put a PNG of class"),
        (["images/a.jpg"], "1 .jpg in images/", "a PNG of class ids for each image, of the same"),
        (["images/a.jpg", "annotation/a.png"], "1 .png, 1 .jpg in", "rename annotation/ to masks/"),
        (["pics/a.jpg", "gt/a.png"], "in gt/, pics/", "rename pics/ to images/ and gt/ to masks/"),
        (["x/a.jpg", "x/a.json", "y/b.png"], "in x/, y/", "put the images into images/"),
        ([f"{c}/a.jpg" for c in "abcdefgh"], "in a/, b/, c/, d/, e/, f/, …", "no labels"),
    ],
    ids=str,
)
def test_what_is_none_is_described(tmp_path: Path, files: list[str], seen: str, advice: str):
    for name in files:
        if name.endswith(("jpg", "png")):
            write(tmp_path / name, noise())
        else:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("{}")
    with pytest.raises(DataError) as error:
        open_set("auto", tmp_path, "train")
    assert seen in str(error.value) and advice in str(error.value)
    assert "\n" not in str(error.value)


def test_other_peoples_json_is_nothing(tmp_path: Path):
    write(tmp_path / "a.jpg", noise())
    for name, data in (
        ("package.json", {"name": "x"}),
        ("list.json", [1, 2, 3]),
        ("shapes.json", {"shapes": []}),
        ("tasks.json", [{"data": {"image": "a.jpg"}}]),
    ):
        (tmp_path / name).write_text(json.dumps(data))
    with pytest.raises(DataError, match="is of no format known here"):
        found(tmp_path)


def test_a_json_of_cocos_with_shapes_in_it_is_labelmes(tmp_path: Path):
    root = labelme(tmp_path, IMAGES)
    path = root / "train/t0.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "images": [], "annotations": [], "categories": []}))
    assert found(root).format == "labelme"
