"""What tools' real exports have that their descriptions do not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from exports import (
    NAMES,
    coco,
    cvat,
    drawn_images,
    label_studio,
    labelme,
    roboflow,
    supervisely,
    voc,
    voc_colours,
    write_palette,
    write_png,
)
from trees import noise, write, write_sideways

from bisenet_ros.datasets import DatasetOptions, LabelledSet, check, open_set
from bisenet_ros.datasets.registry import open_every_split
from bisenet_ros.errors import DataError

IMAGES = drawn_images(2, 1)


def ids_of(root: Path, name: str = "t0") -> np.ndarray:
    """The ids of an image, whichever split it is in."""
    for labelled in open_every_split("auto", root)[1].values():
        for index, sample in enumerate(labelled.samples):
            if sample.name.split("/")[-1].startswith(name):
                return labelled.read(index)[1]
    raise AssertionError(f"{name} is in no split")


def everything(root: Path, **options: Any) -> LabelledSet:
    """All images, in one split."""
    _, splits = open_every_split("auto", root, DatasetOptions(**options))
    return next(iter(splits.values()))


def edit(path: Path, change: Any) -> None:
    """Change a JSON file in place."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


# CVAT


def test_cvat_sorts_labels_by_name(tmp_path: Path):
    """Datumaro sorts a label map that is given as a dict, background among the rest."""
    root = cvat(tmp_path, IMAGES)
    lines = (root / "labelmap.txt").read_text().splitlines()
    (root / "labelmap.txt").write_text("\n".join([lines[0], *sorted(lines[1:], reverse=True)]))
    labelled = everything(root)
    assert labelled.labels.names == tuple(sorted(NAMES, reverse=True))
    to_theirs = np.array([sorted(NAMES, reverse=True).index(name) for name in NAMES])
    assert np.array_equal(ids_of(root), to_theirs[IMAGES[0].ids])


def test_cvat_masks_of_one_channel_count_the_lines(tmp_path: Path):
    root = cvat(tmp_path, IMAGES)
    write_png(root / "SegmentationClass/t0.png", IMAGES[0].ids)
    assert np.array_equal(ids_of(root), IMAGES[0].ids)


def test_cvat_tasks_have_one_subset_called_default(tmp_path: Path):
    root = cvat(tmp_path, IMAGES)
    lists = root / "ImageSets/Segmentation"
    for path in lists.iterdir():
        path.unlink()
    (lists / "default.txt").write_text("t0\nt1\nv0\n")
    train, val = open_set("cvat", root, "train"), open_set("cvat", root, "val")
    assert len(train) == 2 and len(val) == 1
    assert {s.name for s in train.samples} | {s.name for s in val.samples} == {"t0", "t1", "v0"}


def test_cvat_names_with_folders_colons_and_no_colour(tmp_path: Path):
    write(tmp_path / "JPEGImages/cam 1/a.jpg", noise(1, 2))
    write(
        tmp_path / "SegmentationClass/cam 1/a.png", np.array([[[128, 0, 0], [9, 9, 9]]], np.uint8)
    )
    (tmp_path / "ImageSets/Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets/Segmentation/test.txt").write_text("cam 1/a\r\n")
    (tmp_path / "labelmap.txt").write_text(
        "background:0,0,0::\nroad: wet:::\ncar, red:9,9,9:a,b:c\n"
    )
    labelled = open_set("cvat", tmp_path, "test")
    assert labelled.labels.names == ("background", "road: wet", "car, red")
    assert labelled.read(0)[1].tolist() == [[1, 2]] and labelled.samples[0].name == "cam 1/a"


# PASCAL VOC and labelme2voc


def test_vocs_own_classes_and_border(tmp_path: Path):
    root = voc(tmp_path, IMAGES)
    (root / "class_names.txt").unlink()
    ids = IMAGES[0].ids.copy()
    ids[:2] = 255
    write_palette(root / "SegmentationClass/t0.png", ids, voc_colours())
    labelled = everything(root)
    assert len(labelled.labels) == 21 and labelled.labels.names[15] == "person"
    assert labelled.labels.colours[15] == (192, 128, 128)
    assert "20 of PASCAL VOC" in labelled.notes[0]
    assert np.array_equal(ids_of(root), ids)


def test_voc_masks_in_colours(tmp_path: Path):
    root = voc(tmp_path, IMAGES)
    ids = IMAGES[0].ids.copy()
    ids[0, 0] = 255
    write_png(root / "SegmentationClass/t0.png", np.array(voc_colours(), np.uint8)[ids])
    assert np.array_equal(ids_of(root), ids)


def test_labelme2voc_ignores_its_first_name(tmp_path: Path):
    root = voc(tmp_path, IMAGES)
    (root / "SegmentationClass").rename(root / "SegmentationClassPNG")
    (root / "SegmentationClass").mkdir()
    np.save(root / "SegmentationClass/t0.npy", IMAGES[0].ids)
    names = ["__ignore__", "_background_", *NAMES[1:]]
    (root / "class_names.txt").write_text("\n".join(names))
    assert everything(root).labels.names == NAMES
    assert np.array_equal(ids_of(root), IMAGES[0].ids)


# Roboflow


def test_roboflow_names_with_commas_and_one_split(tmp_path: Path):
    root = roboflow(tmp_path, IMAGES[:2])
    rows = "".join(f"{i}, {name}, of a kind\n" for i, name in enumerate(NAMES))
    (root / "train/_classes.csv").write_text("Pixel Value, Class\n" + rows)
    train, val = open_set("auto", root, "train"), open_set("auto", root, "val")
    assert train.labels.names[1] == "disc, of a kind" and len(train) == len(val) == 1


# COCO


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


# labelme


def test_labelme_without_a_list_takes_the_alphabet(tmp_path: Path):
    root = labelme(tmp_path, IMAGES)
    (root / "labels.txt").unlink()
    labelled = everything(root)
    assert labelled.labels.names == ("background", *sorted(NAMES[1:]))
    assert "alphabet" in labelled.notes[0]


def one_labelme(root: Path, shapes: list[dict[str, Any]], **more: Any) -> Path:
    """Two images of 6×8 of which the first has these shapes."""
    for name, drawn in (("a", shapes), ("b", [])):
        write(root / f"{name}.png", noise(6, 8, ord(name)))
        data = {"version": "4.5.6", "imagePath": f"{name}.png", "imageData": None, **more}
        data.update(imageHeight=6, imageWidth=8, shapes=drawn)
        data.update({key: value for key, value in more.items() if key.startswith("image")})
        (root / f"{name}.json").write_text(json.dumps(data))
    return root


def shape(kind: str | None, points: list[list[float]], label: str = "x", **more: Any) -> dict:
    return {"label": label, "points": points, "shape_type": kind, **more}


def test_labelmes_other_shapes(tmp_path: Path):
    mask = np.ones((2, 3), np.uint8)
    text = cv2.imencode(".png", mask)[1].tobytes()
    import base64

    root = one_labelme(
        tmp_path,
        [
            shape("rectangle", [[4, 3], [1, 1]]),  # drawn from its lower right
            shape("line", [[0, 0], [7, 5]], "seam"),
            shape("mask", [[5, 4], [7, 5]], mask=base64.b64encode(text).decode()),
            shape("oriented_rectangle", [[5, 0], [8, 0], [8, 2], [5, 2]]),
            shape("circle", [[1, 5], [1, 5.6]]),
            shape(None, [[0, 0], [1, 0], [1, 1], [0, 1]]),  # before version 3.11
            shape("point", [[3, 3]], "tip"),
        ],
    )
    labelled = everything(root, val_share=0.5)
    assert labelled.labels.names == ("background", "x")
    assert ids_of(root, "a").tolist() == [
        [1, 0, 0, 0, 0, 1, 1, 1],
        [0, 1, 1, 1, 0, 1, 1, 1],
        [0, 1, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1, 1, 1],
        [0, 0, 0, 0, 0, 1, 1, 1],
    ]


def test_labelmes_images_elsewhere_and_without_a_size(tmp_path: Path):
    root = one_labelme(tmp_path, [shape("polygon", [[0, 0], [8, 0], [8, 6], [0, 6]])])
    (root / "images").mkdir()
    (root / "json").mkdir()
    for name in ("a", "b"):
        (root / f"{name}.png").rename(root / f"images/pic_{name}.png")
        (root / f"{name}.json").rename(root / f"json/{name}.json")
        path = f"..\\images\\pic_{name}.png"
        edit(root / f"json/{name}.json", lambda d, p=path: d.update(imagePath=p, imageHeight=None))
    assert (ids_of(root, "pic_a") == 1).all()


def test_pictures_that_a_camera_turned(tmp_path: Path):
    """Points belong to the picture as it is shown; masks are never turned."""
    root = one_labelme(tmp_path / "labelme", [shape("rectangle", [[0, 0], [8, 3]])])
    (root / "a.png").unlink()
    write_sideways(root / "a.jpg", noise(8, 6))
    labelled = everything(root, val_share=0.5)
    both = [labelled, *open_every_split("auto", root, DatasetOptions(val_share=0.5))[1].values()]
    for part in both:
        for index, sample in enumerate(part.samples):
            if sample.image.suffix == ".jpg":
                image, ids = part.read(index)
                assert image.shape == (6, 8, 3) and ids[:3].all() and not ids[3:].any()


# Label Studio


def test_label_studios_other_regions_and_places(tmp_path: Path):
    size = {"original_width": 20, "original_height": 10, "image_rotation": 0}
    results = [
        {**size, "id": "1", "type": "rectanglelabels", "value": {
            "x": 0, "y": 0, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["a"]}},
        {"id": "2", "type": "choices", "value": {"choices": ["good"]}},
        {**size, "id": "3", "type": "ellipselabels", "value": {
            "x": 75, "y": 50, "radiusX": 25, "radiusY": 50, "rotation": 0, "ellipselabels": ["b"]}},
        {**size, "id": "4", "type": "polygon", "value": {
            "points": [[0, 50], [25, 50], [25, 100], [0, 100]]}},
        {**size, "id": "4", "type": "labels", "value": {
            "points": [[0, 50], [25, 50], [25, 100], [0, 100]], "labels": ["b"]}},
        {**size, "id": "5", "type": "keypointlabels", "value": {
            "x": 1, "y": 1, "width": 1, "keypointlabels": ["tip"]}},
    ]  # fmt: skip
    older = {"id": 1, "updated_at": "2026-01-01T00:00:00Z", "result": []}
    newer = {"id": 2, "updated_at": "2026-02-01T00:00:00Z", "result": results}
    places = [
        {"image": "/data/local-files/?d=shots/one.png"},
        {"image": "s3://bucket/deep/two%20b.png", "text": "x"},
        {"photo": "https://example.com/three.png?token=1"},
        {"image": "/data/upload/3/0123abcd-four.png"},
    ]
    tasks = [
        {"id": i, "data": data, "annotations": [newer, older], "predictions": [{"result": []}]}
        for i, data in enumerate(places)
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    for name in ("shots/one.png", "images/two b.png", "three.png", "images/four.png"):
        write(tmp_path / name, noise(10, 20))
    _, splits = open_every_split("auto", tmp_path)
    assert sum(map(len, splits.values())) == 4
    labelled = splits["train"]
    assert labelled.labels.names == ("background", "a", "b")
    ids = labelled.read(0)[1]
    assert (ids[:5, :10] == 1).all() and (ids[5:, :5] == 2).all()
    assert (ids[:, 15] == 2).all() and ids[0, 10] == 0 and (ids == 1).sum() == 50


def test_label_studios_ground_truth_counts(tmp_path: Path):
    root = label_studio(tmp_path, IMAGES)

    def second_opinion(tasks: list[dict[str, Any]]) -> None:
        for task in tasks:
            right = task["annotations"][1]
            right.update(ground_truth=True, updated_at="2025-01-01")
            task["annotations"].append({"updated_at": "2026-01-01", "result": []})

    edit(next(root.glob("*.json")), second_opinion)
    assert np.array_equal(ids_of(root), IMAGES[0].ids)


# Supervisely


def test_superviselys_polygons_cover_their_corners(tmp_path: Path):
    root = supervisely(tmp_path, IMAGES)
    outer = [[1, 1], [6, 1], [6, 5], [1, 5]]
    hole = [[3, 2], [4, 2], [4, 3], [3, 3]]
    objects = [
        {"classTitle": "disc", "geometryType": "polygon",
         "points": {"exterior": outer, "interior": [hole]}},
        {"classTitle": "star", "geometryType": "rectangle",
         "points": {"exterior": [[8, 2], [9, 4]], "interior": []}},
        {"classTitle": "star", "geometryType": "point",
         "points": {"exterior": [[0, 0]], "interior": []}},
    ]  # fmt: skip
    edit(root / "train/ann/t0.jpg.json", lambda data: data.update(objects=objects))
    ids = ids_of(root)
    disc, star = NAMES.index("disc"), NAMES.index("star")
    assert (ids == disc).sum() == 6 * 5 - 4 and (ids == star).sum() == 2 * 3 and ids[0, 0] == 0


def test_superviselys_older_names_and_shapes(tmp_path: Path):
    root = supervisely(tmp_path, IMAGES)
    for path in root.rglob("*.jpg.json"):
        path.rename(path.with_name(path.name.replace(".jpg.json", ".json")))

    def seams(meta: dict[str, Any]) -> None:
        meta["classes"].append({"title": "seam", "shape": "line", "color": "#ffffff"})

    edit(root / "meta.json", seams)
    assert everything(root).labels.names == NAMES
    assert np.array_equal(ids_of(root), IMAGES[0].ids)


# All


def test_one_split_of_another_name_is_divided(tmp_path: Path):
    root = labelme(tmp_path, IMAGES)
    (root / "train").rename(root / "monday")
    for path in (root / "val").iterdir():
        path.rename(root / "monday" / path.name)
    _, splits = open_every_split("auto", root, DatasetOptions(val_share=0.4))
    assert {split: len(labelled) for split, labelled in splits.items()} == {"train": 2, "val": 1}


def test_a_test_split_alone_is_left_whole(tmp_path: Path):
    root = labelme(tmp_path, IMAGES[:2])
    (root / "train").rename(root / "Testing")
    assert list(open_every_split("auto", root)[1]) == ["test"]
    assert len(open_set("auto", root, "testing")) == 2


# CVAT for images


def cvat_xml(root: Path, shapes: str) -> Path:
    """One image of 6×8 with these shapes, and one without any."""
    for name in ("a", "b"):
        write(root / f"images/{name}.png", noise(6, 8, ord(name)))
    (root / "annotations.xml").write_text(
        "<annotations><meta><task><labels><label><name>x</name></label>"
        "<label><name>y, z</name><color>#102030</color></label></labels></task></meta>"
        f'<image id="0" name="a.png" width="8" height="6">{shapes}</image>'
        '<image id="1" name="b.png" width="8" height="6"></image></annotations>'
    )
    return root


def test_cvats_boxes_ellipses_masks_and_their_order(tmp_path: Path):
    root = cvat_xml(
        tmp_path,
        '<box label="y, z" xtl="0" ytl="0" xbr="4" ybr="3" z_order="2"></box>'
        '<box label="x" xtl="0" ytl="0" xbr="8" ybr="6" z_order="-1"></box>'
        '<mask label="x" rle="1, 2, 1" left="0" top="0" width="2" height="2" z_order="2"></mask>'
        '<box label="y, z" xtl="4" ytl="3" xbr="8" ybr="5" rotation="90" z_order="2"></box>'
        '<polyline label="y, z" points="0,0;8,6" z_order="9"></polyline>'
        '<ellipse label="y, z" cx="1" cy="5" rx="1" ry="1" z_order="0"></ellipse>',
    )
    labelled = everything(root, val_share=0.5)
    assert labelled.labels.names == ("background", "x", "y, z")
    assert labelled.labels.colours[2] == (16, 32, 48)
    assert ids_of(root, "a").tolist() == [
        [2, 1, 2, 2, 1, 1, 1, 1],
        [1, 2, 2, 2, 1, 1, 1, 1],
        [2, 2, 2, 2, 1, 2, 2, 1],
        [1, 1, 1, 1, 1, 2, 2, 1],
        [2, 2, 1, 1, 1, 2, 2, 1],
        [2, 2, 1, 1, 1, 2, 2, 1],
    ]
    assert "1 images have no shape: they are all background" in labelled.notes


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ('<polygon label="x" points="0,0;5,5"></polygon>', "polygon 0 of a.png: it has 2 corners"),
        ('<polygon label="x" points="0;5"></polygon>', "polygon 0 of a.png: its corners are not"),
        ('<polygon label="x" points="a,b"></polygon>', "polygon 0 of a.png: could not convert"),
        ('<polygon label="x" points="90,0;99,0;99,9"></polygon>', "outside of the image"),
        ('<polygon label="sun" points="0,0;5,5;0,5"></polygon>', "the label 'sun', which is not"),
        ('<mask label="x" rle="1, 9" left="0" top="0" width="2" height="2"></mask>', "make 10 pix"),
        ('<mask label="x" rle="4" left="0" top="0" width="2"></mask>', "no 'height'"),
        (
            '<box label="x" xtl="0" ytl="0" xbr="4" ybr="3" z_order="top"></box>',
            "number that is no",
        ),
        ("<polygon", "annotations.xml is not XML"),
    ],
)
def test_cvats_shapes_that_are_broken(tmp_path: Path, shapes: str, said: str):
    root = cvat_xml(tmp_path, shapes)
    with pytest.raises(DataError, match=said):
        for labelled in open_every_split("cvat-images", root)[1].values():
            check(labelled)


def test_cvats_videos_and_entities_are_refused(tmp_path: Path):
    root = cvat_xml(tmp_path, "")
    path = root / "annotations.xml"
    text = path.read_text()
    path.write_text(text.replace("<image id", '<track id="0" label="x"></track><image id', 1))
    with pytest.raises(DataError, match="is of a video"):
        open_set("auto", root, "train")
    path.write_text('<!DOCTYPE a [<!ENTITY b "c">]>' + text)
    with pytest.raises(DataError, match="declares entities"):
        open_set("auto", root, "train")
    (root / "images/b.png").unlink()
    path.write_text(text)
    with pytest.raises(DataError, match="lists the image 'b.png', which is not in"):
        open_set("auto", root, "train")
