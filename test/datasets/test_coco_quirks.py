"""What tools' real exports of COCO have that its description does not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import NAMES, coco
from quirks import IMAGES, edit, everything, ids_of
from trees import noise, write

from bisenet_ros.datasets import DatasetOptions
from bisenet_ros.datasets.registry import open_every_split


def test_roboflows_class_above_all_is_none(tmp_path: Path):
    root = coco(tmp_path, IMAGES)

    def above(data: dict[str, Any]) -> None:
        data["categories"].insert(0, {"id": 0, "name": "shapes", "supercategory": "none"})
        for entry in data["categories"][1:]:
            entry["supercategory"] = "shapes"

    for split in ("train", "val"):
        edit(root / f"annotations/instances_{split}.json", above)
    assert everything(root).labels.names == NAMES


def test_roboflow_puts_coco_beside_the_images(tmp_path: Path):
    root = coco(tmp_path / "in", IMAGES)
    for split, folder in (("train", "train"), ("val", "valid")):
        place = tmp_path / "out" / folder
        place.mkdir(parents=True)
        for one in IMAGES:
            if one.split == split:
                (root / f"images/{one.name}.jpg").rename(place / f"{one.name}.jpg")
        (root / f"annotations/instances_{split}.json").rename(place / "_annotations.coco.json")
    _, splits = open_every_split("auto", tmp_path / "out")
    assert {split: len(labelled) for split, labelled in splits.items()} == {"train": 2, "val": 1}
    assert np.array_equal(ids_of(tmp_path / "out"), IMAGES[0].ids)


def test_cocos_own_folder(tmp_path: Path):
    root = coco(tmp_path, IMAGES)
    (root / "images").rename(root / "train2017")
    (root / "val2017").mkdir()
    (root / "train2017/v0.jpg").rename(root / "val2017/v0.jpg")
    for split in ("train", "val"):
        place = root / "annotations"
        (place / f"instances_{split}.json").rename(place / f"instances_{split}2017.json")
        captions = {"images": [], "annotations": [{"id": 1, "caption": "x"}], "categories": []}
        (place / f"captions_{split}2017.json").write_text(json.dumps(captions))
    _, splits = open_every_split("auto", root)
    assert {split: len(labelled) for split, labelled in splits.items()} == {"train": 2, "val": 1}
    assert np.array_equal(ids_of(root, "v0"), IMAGES[2].ids)


def small_coco(root: Path, annotations: list[dict[str, Any]], **image: Any) -> Path:
    """One image of 4×3 with these annotations of the classes 7 (road) and 9 (car)."""
    write(root / "a.png", noise(3, 4))
    write(root / "b.png", noise(3, 4, 1))
    entry = {"file_name": "a.png", "height": 3, "width": 4, **image}
    data = {
        "images": [{"id": 5, **entry}, {"id": 6, **entry, "file_name": "b.png"}],
        "annotations": [{"id": i, "image_id": 5, **a} for i, a in enumerate(annotations)],
        "categories": [{"id": 9, "name": "car"}, {"id": 7, "name": "road", "color": "#804020"}],
    }
    (root / "result.json").write_text(json.dumps(data))
    return root


def test_coco_lays_crowds_below_and_later_ones_above(tmp_path: Path):
    whole = [[0, 0, 4, 0, 4, 3, 0, 3]]
    left = {"size": [3, 4], "counts": [0, 6, 6]}
    root = small_coco(
        tmp_path,
        [
            {"category_id": 7, "segmentation": [[1, 0, 4, 0, 4, 2, 1, 2]]},
            {"category_id": 9, "segmentation": left},
            {"category_id": 7, "segmentation": whole, "iscrowd": 1},
        ],
    )
    labelled = everything(root, val_share=0.5)
    assert labelled.labels.names == ("background", "road", "car")
    assert labelled.labels.colours[1] == (128, 64, 32)
    assert ids_of(root, "a").tolist() == [[2, 2, 1, 1], [2, 2, 1, 1], [2, 2, 1, 1]]
    assert (ids_of(root, "b") == 0).all()
    assert "1 images have no annotation: they are all background" in labelled.notes


def test_coco_polygons_written_in_other_ways(tmp_path: Path):
    corners = [0, 0, 2, 0, 2, 3, 0, 3]
    pairs = [[0, 0], [2, 0], [2, 3], [0, 3]]
    for index, written in enumerate(([corners], corners, [pairs])):
        root = small_coco(tmp_path / str(index), [{"category_id": 9, "segmentation": written}])
        assert ids_of(root, "a")[:, :2].tolist() == [[2, 2]] * 3


def test_coco_sizes_that_are_missing_or_of_smaller_pictures(tmp_path: Path):
    region = {"category_id": 9, "segmentation": [[0, 0, 2, 0, 2, 3, 0, 3]]}
    root = small_coco(tmp_path / "none", [region], height=None, width=None)
    assert ids_of(root, "a").sum() == 12
    root = small_coco(tmp_path / "small", [region])
    write(root / "a.png", noise(6, 8))
    _, splits = open_every_split("auto", root, DatasetOptions(resize_masks=True))
    (labelled,) = (split for split in splits.values() if split.samples[0].name == "a")
    with pytest.warns(UserWarning, match="resized"):
        assert labelled.read(0)[1].sum() == 4 * 12


def test_coco_of_segments_ai_and_label_studio_has_paths_of_its_own(tmp_path: Path):
    region = {"category_id": 9, "segmentation": {"size": [3, 4], "counts": "06o0"}}
    region["segmentation"] = {"size": [3, 4], "counts": "066"}
    root = small_coco(tmp_path, [region], file_name="/label-studio/data/media/upload/1/a.png")
    assert ids_of(root, "a").tolist() == [[2, 2, 0, 0]] * 3
