"""What tools' real exports have that their descriptions do not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from drawn import voc_colours, write_palette, write_png
from exports import NAMES, cvat, label_studio, labelme, roboflow, supervisely, voc
from quirks import IMAGES, edit, everything, ids_of
from trees import noise, write, write_sideways

from bisenet_ros.datasets import DatasetOptions, open_set
from bisenet_ros.datasets.registry import open_every_split

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
