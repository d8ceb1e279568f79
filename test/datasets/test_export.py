"""Converting between formats loses no class and no pixel."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import drawn_images
from exports import FORMATS, NAMES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trees import noise, write

from bisenet_ros.datasets import LabelledSet, Sample
from bisenet_ros.datasets.export import EXPORTERS, export
from bisenet_ros.datasets.registry import open_every_split
from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.labels import LabelSet

IMAGES = drawn_images(2, 1)


def made(root: Path, names: list[str], splits: dict[str, list[np.ndarray]]) -> dict:
    """Sets of ids that are held in memory, with images of noise."""
    colours = tuple((7 * i % 256, (250 - 3 * i) % 256, (40 + i) % 256) for i in range(len(names)))
    found = {}
    for split, masks in splits.items():
        samples = []
        for index, ids in enumerate(masks):
            path = write(root / f"in/{split}/{index}.png", noise(*ids.shape, seed=len(samples)))
            samples.append(Sample(f"{split}{index}", path, path, ids))
        found[split] = LabelledSet(
            labels=LabelSet(tuple(names), colours),
            samples=tuple(samples),
            decode=lambda sample: sample.regions,
            resolution=(8, 8),
            source="made",
            licence="none",
            split=split,
        )
    return found


def read(root: Path, kind: str) -> tuple[LabelSet, dict[str, dict[str, np.ndarray]]]:
    found, splits = open_every_split("auto", root)
    assert found.format == kind
    labels = next(iter(splits.values())).labels
    ids = {
        split: {
            Path(sample.name).name: labelled.read(index)[1]
            for index, sample in enumerate(labelled.samples)
        }
        for split, labelled in splits.items()
    }
    return labels, ids


@pytest.mark.parametrize("to", EXPORTERS)
@pytest.mark.parametrize("name", FORMATS)
def test_from_every_format_to_every_other(tmp_path: Path, name: str, to: str):
    write_format, kind = FORMATS[name]
    _, before = open_every_split(kind, write_format(tmp_path / "in", IMAGES))
    assert export(before, to, tmp_path / "out") == len(IMAGES)
    labels, after = read(tmp_path / "out", to)
    assert labels.names == NAMES
    for split, labelled in before.items():
        assert len(after[split]) == len(labelled)
        for index, sample in enumerate(labelled.samples):
            assert np.array_equal(after[split][Path(sample.name).name], labelled.read(index)[1])


UNUSUAL = {
    "no background, some unlabelled": (["road", "sky", "car"], [0, 1, 2, 255]),
    "no background, all labelled": (["road", "sky"], [0, 1]),
    "background and unlabelled": (["background", "road", "car"], [0, 1, 2, 255]),
    "background last": (["road", "car", "background"], [0, 1, 2]),
    "background that never occurs": (["background", "road", "car"], [1, 2]),
    "two classes, the second absent": (["floor", "wall"], [0, 255]),
    "one class": (["floor"], [0, 255]),
    "a class that never occurs": (["background", "road", "tram", "car"], [0, 1, 3]),
    "names with commas and others": (
        ["background", "car, parked", "Gehweg (naß)", "a'b\"c"],
        [0, 1, 2, 3],
    ),
    "as many as there can be": ([f"class {i}" for i in range(255)], list(range(256))),
}


@pytest.mark.parametrize("to", EXPORTERS)
@pytest.mark.parametrize("what", UNUSUAL)
def test_unusual_classes_survive(tmp_path: Path, what: str, to: str):
    names, ids = UNUSUAL[what]
    random = np.random.default_rng(0)
    masks = [random.choice(ids, (24, 36)).astype(np.uint8) for _ in range(3)]
    masks[0].reshape(-1)[: len(ids)] = ids
    before = made(tmp_path, names, {"train": masks[:2], "val": masks[2:]})
    export(before, to, tmp_path / "out")
    labels, after = read(tmp_path / "out", to)
    assert labels.names == tuple(names)
    for index in range(2):
        assert np.array_equal(after["train"][f"train{index}"], masks[index])
    assert after["val"]["val0"].tolist() == masks[2].tolist()


@pytest.mark.parametrize("to", EXPORTERS)
def test_colours_survive_but_for_those_a_format_needs(tmp_path: Path, to: str):
    before = made(tmp_path, ["background", "road"], {"train": [np.eye(4, dtype=np.uint8)] * 2})
    export(before, to, tmp_path / "out")
    labels, _ = read(tmp_path / "out", to)
    kept = before["train"].labels.colours
    if to in ("cvat", "labelme"):
        assert labels.colours[0] == (0, 0, 0)
    else:
        assert labels.colours == kept
    if to == "cvat":
        assert labels.colours[1] == kept[1]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.data(),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    count=st.integers(1, 5),
    background=st.booleans(),
    to=st.sampled_from(sorted(EXPORTERS)),
)
def test_any_ids_survive(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    height: int,
    width: int,
    count: int,
    background: bool,
    to: str,
):
    names = ["background"] * background + [f"c{i}" for i in range(count)]
    values = st.sampled_from([*range(len(names)), 255])
    pixels = data.draw(st.lists(values, min_size=height * width, max_size=height * width))
    ids = np.array(pixels, np.uint8).reshape(height, width)
    root = tmp_path_factory.mktemp("any")
    before = made(root, names, {"train": [ids], "val": [ids]})
    export(before, to, root / "out")
    labels, after = read(root / "out", to)
    assert labels.names == tuple(names)
    assert np.array_equal(after["train"]["train0"], ids)
    assert np.array_equal(after["val"]["val0"], ids)


@pytest.mark.parametrize("to", EXPORTERS)
def test_images_of_one_name_in_two_splits(tmp_path: Path, to: str):
    one, two = np.zeros((4, 5), np.uint8), np.ones((4, 5), np.uint8)
    before = made(tmp_path, ["background", "road"], {"train": [one], "val": [two]})
    same = {
        split: LabelledSet(
            **{**vars(labelled), "samples": (Sample("deep/same", *_paths(labelled)),)}
        )
        for split, labelled in before.items()
    }
    export(same, to, tmp_path / "out")
    _, after = read(tmp_path / "out", to)
    assert after["train"]["same"].max() == 0 and after["val"]["same"].min() == 1


def _paths(labelled: LabelledSet) -> tuple[Path, Path, np.ndarray]:
    sample = labelled.samples[0]
    return sample.image, sample.label, sample.regions


def test_what_cvat_gets(tmp_path: Path):
    ids = np.array([[0, 1, 255, 2]], np.uint8)
    export(made(tmp_path, ["road", "sky", "car"], {"train": [ids]}), "cvat", tmp_path / "out")
    assert (tmp_path / "out/labelmap.txt").read_text().splitlines() == [
        "# label:color_rgb:parts:actions",
        "# background: unlabelled",
        "background:0,0,0::",
        "road:0,250,40::",
        "sky:7,247,41::",
        "car:14,244,42::",
    ]
    assert (tmp_path / "out/ImageSets/Segmentation/train.txt").read_text() == "train0\n"
    colours = cv2.imread(str(tmp_path / "out/SegmentationClass/train0.png"))[..., ::-1]
    assert colours.tolist() == [[[0, 250, 40], [7, 247, 41], [0, 0, 0], [14, 244, 42]]]
    objects = cv2.imread(str(tmp_path / "out/SegmentationObject/train0.png"))[..., ::-1]
    assert objects.tolist() == [[[128, 0, 0], [0, 128, 0], [0, 0, 0], [128, 128, 0]]]
    assert (tmp_path / "out/JPEGImages/train0.png").is_file()


def test_what_coco_gets(tmp_path: Path):
    ids = np.array([[0, 1, 1], [0, 0, 2]], np.uint8)
    names = ["background", "road", "car"]
    export(made(tmp_path, names, {"train": [ids]}), "coco", tmp_path / "out")
    data = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert data["images"] == [{"id": 1, "file_name": "train0.png", "height": 2, "width": 3}]
    assert [category["name"] for category in data["categories"]] == names
    road, car = data["annotations"]
    assert road["bbox"] == [1, 0, 2, 1] and road["area"] == 2 and road["category_id"] == 2
    # pycocotools 2.0.11 encodes the same masks as these texts.
    assert road["segmentation"] == {"size": [2, 3], "counts": "21100"}
    assert car["segmentation"] == {"size": [2, 3], "counts": "51"}


@pytest.mark.parametrize(
    ("names", "to", "said"),
    [
        (["a:b", "c"], "cvat", "class 'a:b' cannot be written in this format, because of ':'"),
        (["void", "c"], "coco", "class 'void' would be read as pixels without a class"),
        (["a", "a"], "labelme", "two classes are called 'a'"),
    ],
)
def test_names_a_format_cannot_hold(tmp_path: Path, names: list[str], to: str, said: str):
    before = made(tmp_path, names, {"train": [np.zeros((2, 2), np.uint8)]})
    with pytest.raises(DataError, match=said):
        export(before, to, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_left_of_a_conversion_that_failed(tmp_path: Path):
    masks = [np.zeros((8, 9), np.uint8)] * 3
    before = made(tmp_path, ["background", "road"], {"train": masks})
    before["train"].samples[2].image.write_bytes(b"no image")
    for out in (tmp_path / "out", tmp_path / "deep/out"):
        with pytest.raises(DataError, match="2.png cannot be read"):
            export(before, "cvat", out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_files_that_are_there_are_kept(tmp_path: Path):
    before = made(tmp_path, ["background", "road"], {"train": [np.zeros((2, 2), np.uint8)]})
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("x")
    with pytest.raises(ArgumentError, match="out holds files"):
        export(before, "cvat", tmp_path / "out")
    with pytest.raises(ArgumentError, match="--to is 'yolo'; expected one of folder, cvat"):
        export(before, "yolo", tmp_path / "other")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
