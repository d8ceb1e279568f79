"""Broken exports: each is refused with its file named, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import drawn_images
from exports import FORMATS
from trees import noise, write

from bisenet_ros.cli import main
from bisenet_ros.datasets import DatasetOptions, check
from bisenet_ros.datasets.registry import open_every_split
from bisenet_ros.errors import DataError

IMAGES = drawn_images(2, 1)


def edit(path: Path, change: Callable[[Any], object]) -> None:
    data = json.loads(path.read_text())
    changed = change(data)
    path.write_text(json.dumps(data if changed is None else changed))


def replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        text = (root / file).read_text()
        assert old in text
        (root / file).write_text(text.replace(old, new))

    return spoil


def json_of(file: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    return lambda root: edit(root / file, change)


def coco_with(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    return json_of("annotations/instances_train.json", change)


def coco_region(written: Any) -> Callable[[Path], None]:
    return coco_with(lambda data: data["annotations"][2].update(segmentation=written))


def labelme_shape(**changes: Any) -> Callable[[Path], None]:
    return json_of("train/t0.json", lambda data: data["shapes"][1].update(changes))


def studio(change: Callable[[list[Any]], object]) -> Callable[[Path], None]:
    return json_of("project-1-at-2026-05-01.json", change)


def studio_region(**changes: Any) -> Callable[[Path], None]:
    return studio(lambda tasks: tasks[0]["annotations"][1]["result"][1].update(changes))


def object_of(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    return json_of("train/ann/t0.jpg.json", lambda data: change(data["objects"][0]))


def remove(file: str) -> Callable[[Path], None]:
    return lambda root: (root / file).unlink()


def picture(file: str, height: int = 48, width: int = 72) -> Callable[[Path], object]:
    return lambda root: write(root / file, noise(height, width))


def unlabelled(name: str) -> Callable[[Path], None]:
    """Another image on the list of a folder, without a mask."""

    def spoil(root: Path) -> None:
        picture(f"images/{name}.jpg")(root)
        with (root / "train.txt").open("a") as listed:
            listed.write(f"{name}\n")

    return spoil


def twice(key: str) -> Callable[[Path], None]:
    return coco_with(lambda data: data[key].append(data[key][0]))


CASES: list[tuple[str, Callable[[Path], object], str]] = [
    # Folder
    ("folder", remove("masks/t0.png"), "masks/t0.png is missing"),
    ("folder", unlabelled("t9"), "masks/t9.png is missing"),
    ("folder", picture("masks/t0.png"), "masks/t0.png contains colour"),
    ("folder", lambda r: (r / "masks/t0.png").write_bytes(b"\x89PNG"), "masks/t0.png cannot"),
    # CVAT
    ("cvat", remove("SegmentationClass/t0.png"), "SegmentationClass/t0.png is missing"),
    ("cvat", remove("JPEGImages/t0.jpg"), "JPEGImages/t0.jpg or .png is missing"),
    ("cvat", picture("SegmentationClass/t0.png"), "t0.png contains colour"),
    ("cvat", replace("labelmap.txt", "disc:", "star:"), "labelmap.txt lists 'star' twice"),
    ("cvat", replace("labelmap.txt", "230,60,50", "0,0,0"), "the same colour 0,0,0"),
    ("cvat", replace("labelmap.txt", "230,60,50", "230,60"), "labelmap.txt line 3 has the colour"),
    ("cvat", replace("labelmap.txt", "230,60,50", "230,60,500"), "line 3 has the colour"),
    ("cvat", replace("labelmap.txt", "disc:230,60,50::", "disc"), "line 3 is 'disc'; expected"),
    ("cvat", replace("ImageSets/Segmentation/Train.txt", "t1", "t0"), "Train.txt lists 't0' twice"),
    ("cvat", lambda r: (r / "labelmap.txt").write_bytes(b"\xff"), "labelmap.txt cannot be read"),
    # VOC
    ("voc", remove("SegmentationClass/t0.png"), "SegmentationClass/t0.png is missing"),
    ("voc", replace("class_names.txt", "star", "disc"), "class_names.txt lists the class 'disc'"),
    ("voc", replace("class_names.txt", "cross\n", ""), "contains id 5"),
    # Roboflow
    ("roboflow", remove("train/t0_png.rf.0f3a_mask.png"), "t0_png.rf.0f3a_mask.png is missing"),
    ("roboflow", remove("train/t0_png.rf.0f3a.jpg"), "t0_png.rf.0f3a_mask.png has no image"),
    ("roboflow", replace("valid/_classes.csv", "disc", "disk"), "_classes.csv lists other classes"),
    ("roboflow", replace("train/_classes.csv", "1, disc", "2, disc"), "the pixel value 2 twice"),
    ("roboflow", replace("train/_classes.csv", "1, disc", "one disc"), "line 3 is 'one disc'"),
    ("roboflow", replace("train/_classes.csv", "1, disc", "700, disc"), "line 3 is"),
    # COCO
    ("coco", coco_region([[0, 0, 5, 5]]), "annotation 3 of t0.jpg: it has 2 corners"),
    ("coco", coco_region([[0, 0, 5, 5, 5]]), "annotation 3 of t0.jpg: its corners are not pairs"),
    ("coco", coco_region([[90, 0, 99, 0, 99, 9]]), "annotation 3 .* outside of the image"),
    ("coco", coco_region([[0, 0, 1e300, 0, 0, 9]]), "annotation 3 .* pixels away"),
    ("coco", coco_region([["a", 0, 1, 0, 0, 9]]), "annotation 3 .* not numbers"),
    ("coco", coco_region({"size": [9, 9], "counts": [81]}), "annotation 3 .* of size .9, 9.; exp"),
    ("coco", coco_region({"size": [48, 72], "counts": [81]}), "annotation 3 .* its runs make 81"),
    ("coco", coco_region({"size": [48, 72], "counts": "\u00ff"}), "annotation 3 .* its text holds"),
    ("coco", coco_region({"size": [48, 72]}), "annotation 3 of t0.jpg"),
    ("coco", coco_region([]), "annotation 3 has no segmentation, only a box"),
    ("coco", coco_region(7), "annotation 3 of t0.jpg"),
    ("coco", twice("images"), "instances_train.json has the id 1 in 'images' twice"),
    ("coco", twice("categories"), "has the id 1 in 'categories' twice"),
    ("coco", twice("annotations"), "instances_train.json has the annotation id 1 twice"),
    ("coco", coco_with(lambda d: d["annotations"][0].update(image_id=77)), "for image 77"),
    ("coco", coco_with(lambda d: d["annotations"][0].update(category_id=77)), "is of category 77"),
    ("coco", coco_with(lambda d: d["annotations"][0].__delitem__("image_id")), "has no 'image_id'"),
    ("coco", coco_with(lambda d: d["annotations"][0].update(segments_info=[])), "panoptic"),
    ("coco", coco_with(lambda d: d["images"][0].update(file_name="t1.jpg")), "'t1.jpg' as 1 and"),
    ("coco", coco_with(lambda d: d["images"][0].__delitem__("file_name")), "no 'file_name' for"),
    ("coco", coco_with(lambda d: d["images"].append("x")), "has 'x' in 'images'"),
    ("coco", coco_with(lambda d: d["images"][0].update(height=49)), "t0.jpg .48, 72. .height"),
    ("coco", coco_with(lambda d: d["images"][0].update(height=10**9)), "expected that of a pict"),
    ("coco", coco_with(lambda d: d["categories"][0].update(name="x")), "lists other categories"),
    ("coco", remove("images/t0.jpg"), "lists the image 't0.jpg', which is not in"),
    ("coco", replace("annotations/instances_train.json", '"images"', '"images'), "is not JSON"),
    # labelme
    ("labelme", remove("train/t0.json"), "train/t0.json is missing"),
    ("labelme", remove("train/t0.jpg"), "t0.json is of image 't0.jpg', which is not in"),
    ("labelme", labelme_shape(points=[[0, 0], [5, 5]], shape_type="polygon"), "2 corners"),
    ("labelme", labelme_shape(points=[[99, 0], [199, 5], [99, 9]], shape_type=None), "outside"),
    ("labelme", labelme_shape(points=[[0, 0]], shape_type="circle"), "expected two of x and y"),
    ("labelme", labelme_shape(shape_type="cloud"), "'cloud' is none of labelme's"),
    ("labelme", labelme_shape(shape_type="mask", mask="%", points=[[0, 0], [1, 1]]), "not base64"),
    ("labelme", labelme_shape(label="sun"), "labels.txt does not list 'sun'"),
    ("labelme", labelme_shape(label=None), "t0.json: shape 1 has no 'label'"),
    ("labelme", replace("train/t0.json", '"shapes": [', '"shapes": {['), "t0.json is not JSON"),
    (
        "labelme",
        json_of("train/t0.json", lambda d: d.update(imageHeight=72, imageWidth=48)),
        "outside of the image|a camera's rotation tag",
    ),
    # Label Studio
    ("label_studio", studio(lambda t: t[0]["annotations"].clear()), "task 1 has no annotation"),
    ("label_studio", remove("t0.jpg"), "the image of task 1, .* is not in"),
    ("label_studio", studio(lambda t: t.append(t[0])), "'t0.jpg' in two tasks"),
    ("label_studio", studio_region(original_height=47), "region None|images of different sizes"),
    ("label_studio", studio_region(image_rotation=90), "turned by 90 degrees"),
    ("label_studio", studio_region(
        value={"brushlabels": ["disc"], "rle": [0, 0]}, type="brushlabels"),
     "ends too early"),
    ("label_studio", studio_region(
        value={"polygonlabels": ["disc"], "points": [[0, 0], [9, 9]]}, type="polygonlabels"),
     "2 corners"),
    ("label_studio", studio_region(
        value={"polygonlabels": ["disc", "star"], "points": []}, type="polygonlabels"),
     r"has the labels \['disc', 'star'\]; expected one"),
    ("label_studio", studio_region(value={"polygonlabels": ["sun"]}, type="polygonlabels"),
     "labels.txt does not list 'sun'"),
    ("label_studio", studio(lambda t: t.append(3)), "an entry without 'data'"),
    # Supervisely
    ("supervisely", remove("train/ann/t0.jpg.json"), "train/ann/t0.jpg.json is missing"),
    ("supervisely", remove("train/img/t0.jpg"), "t0.jpg.json has no image in img/"),
    ("supervisely", object_of(lambda o: o.update(classTitle="sun")), "object 0 .*'sun' is not in"),
    ("supervisely", object_of(lambda o: o["bitmap"].update(origin=[99, 99])), "0 .* outside"),
    ("supervisely", object_of(lambda o: o["bitmap"].update(data="AAAA")), "object 0 .* neither a"),
    ("supervisely", object_of(lambda o: o.__delitem__("bitmap")), "object 0 of .*: no 'bitmap'"),
    ("supervisely", json_of("train/ann/t0.jpg.json", lambda d: d.pop("size")), "has no 'size'"),
    ("supervisely", json_of("meta.json", lambda d: d.pop("classes")), "has no list of 'classes'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spoil", "said"), CASES, ids=lambda value: str(value)[:40])
def test_broken_exports_are_named(
    tmp_path: Path, name: str, spoil: Callable[[Path], object], said: str
):
    write_format, kind = FORMATS[name]
    root = write_format(tmp_path / "set", IMAGES)
    spoil(root)
    with pytest.raises(DataError, match=said) as error:
        _, splits = open_every_split(kind, root)
        for labelled in splits.values():
            check(labelled)
    assert "\n" not in str(error.value) and "set" in str(error.value)


@pytest.mark.parametrize(("name", "spoil", "said"), CASES[::7], ids=lambda value: str(value)[:40])
def test_nothing_is_written_of_broken_exports(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    spoil: Callable[[Path], object],
    said: str,
):
    write_format, kind = FORMATS[name]
    root = write_format(tmp_path / "set", IMAGES)
    spoil(root)
    line = ["data", str(root), str(tmp_path / "out"), "--dataset", kind, "--to", "folder"]
    assert main(line) == 3
    assert "error: " in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("name", ["cvat", "roboflow", "labelme", "label_studio", "supervisely"])
def test_images_without_labels_may_be_left_out(tmp_path: Path, name: str):
    write_format, kind = FORMATS[name]
    root = write_format(tmp_path / "set", IMAGES)
    unlabel = {
        "cvat": remove("SegmentationClass/t0.png"),
        "roboflow": remove("train/t0_png.rf.0f3a_mask.png"),
        "labelme": remove("train/t0.json"),
        "label_studio": studio(lambda tasks: tasks[0]["annotations"].clear()),
        "supervisely": remove("train/ann/t0.jpg.json"),
    }[name]
    unlabel(root)
    with pytest.raises(DataError, match="--skip-unlabelled"):
        open_every_split(kind, root)
    _, splits = open_every_split(kind, root, DatasetOptions(skip_unlabelled=True))
    assert sum(map(len, splits.values())) == 2


def test_names_that_differ_by_case_or_form_alone(tmp_path: Path):
    root = FORMATS["cvat"][0](tmp_path / "set", IMAGES)
    (root / "JPEGImages/t0.jpg").rename(root / "JPEGImages/T0.JPG")
    _, splits = open_every_split("cvat", root)
    assert splits["train"].samples[0].image.name == "T0.JPG"
    write(root / "JPEGImages/to.jpg", noise())
    (root / "ImageSets/Segmentation/Train.txt").write_text("ä\n")
    write(root / "SegmentationClass/a\u0308.png", IMAGES[0].ids)
    write(root / "JPEGImages/\u00c4.png", IMAGES[0].image)
    _, splits = open_every_split("cvat", root)
    assert np.array_equal(splits["train"].read(0)[1], IMAGES[0].ids)
    write(root / "JPEGImages/A\u0308.png", IMAGES[0].image)
    with pytest.raises(DataError, match="differ by case or Unicode form alone"):
        open_every_split("cvat", root)
