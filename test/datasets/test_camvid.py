"""CamVid: ids, the original colours, and what is said of broken files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from trees import noise, write

from bisenet_ros.datasets import CAMVID, TrainingImages, check, open_set
from bisenet_ros.datasets.camvid import ORIGINAL
from bisenet_ros.errors import DataError


def test_camvids_void_becomes_255_and_ids_stay(camvid: Path):
    data = open_set("camvid", camvid, "train")
    assert [sample.name for sample in data.samples] == ["0", "1", "2", "3"]
    assert data.resolution == (360, 480) and data.labels == CAMVID
    assert data.source == (
        "CamVid train, SegNet re-labelling: 4 images, 128×96, 11 classes"  # as shipped weights say
    )
    for index in range(len(data)):
        image, ids = data.read(index)
        raw = cv2.imread(str(camvid / f"train/labels/{index}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(image, noise(96, 128, index))
        assert np.array_equal(ids, np.where(raw == 11, 255, raw)) and ids.dtype == np.uint8


def test_camvids_original_colours_become_the_11_classes(tmp_path: Path):
    pairs = [(c, CAMVID.names.index(name)) for name, m in ORIGINAL.items() for c in m.values()]
    assert len({colour for colour, _ in pairs}) == 31
    colours = np.array([[*(colour for colour, _ in pairs), (0, 0, 0)]], np.uint8)
    write(tmp_path / "test/labels/0016E5_1_L.png", colours)
    write(tmp_path / "test/images/0016E5_1.jpg", noise(1, 32))
    data = open_set("camvid", tmp_path, "test")
    assert data.resolution == (720, 960) and "original" in data.source
    assert data.read(0)[1].tolist() == [[*(id for _, id in pairs), 255]]


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((128, 128, 128), "sky"),
        ((0, 128, 64), "building"),
        ((0, 0, 64), "pole"),
        ((128, 0, 192), "road"),
        ((64, 192, 128), "pavement"),
        ((192, 192, 0), "tree"),
        ((0, 64, 64), "sign"),
        ((64, 64, 128), "fence"),
        ((64, 128, 192), "car"),
        ((192, 128, 64), "pedestrian"),
        ((192, 0, 192), "bicyclist"),
    ],
)
def test_camvids_colours_by_hand(tmp_path: Path, colour: tuple[int, ...], name: str):
    write(tmp_path / "val/labels/a.png", np.full((2, 3, 3), colour, np.uint8))
    write(tmp_path / "val/images/a.png", noise(2, 3))
    _, ids = open_set("camvid", tmp_path, "val").read(0)
    assert (ids == CAMVID.names.index(name)).all()


def spoilt_by(name: str, pixels: np.ndarray) -> Callable[[Path], object]:
    return lambda root: write(root / name, pixels)


SPOILT: list[tuple[Callable[[Path], object], str]] = [
    (lambda root: (root / "train/labels/1.png").unlink(), "labels/1.png is missing"),
    (lambda root: (root / "train/images/1.png").write_bytes(b"x"), "images/1.png cannot be read"),
    (lambda root: (root / "train/labels/1.png").write_bytes(b"x"), "labels/1.png cannot be read"),
    (lambda root: (root / "train/labels/1.png").write_bytes(b""), "labels/1.png is empty"),
    (
        spoilt_by("train/labels/1.png", np.full((96, 128), 12, np.uint8)),
        "labels/1.png contains id 12 at row 0, column 0; CamVid has 0 to 11 and 255",
    ),
    (
        spoilt_by("train/labels/1.png", np.full((96, 128, 3), 7, np.uint8)),
        r"labels/1.png contains colour \(7, 7, 7\) at row 0, column 0; CamVid has 32 colours",
    ),
    (
        spoilt_by("train/labels/1.png", np.zeros((4, 5), np.uint8)),
        r"labels/1.png is \(4, 5\), its image 1.png \(96, 128\)",
    ),
    (
        spoilt_by("train/labels/1.png", np.zeros((96, 128), np.uint16)),
        "labels/1.png has 16 bits",
    ),
    (
        spoilt_by("train/images/1.jpg", noise(96, 128)),
        "1.png and 1.jpg share a name|1.jpg and 1.png",
    ),
]


@pytest.mark.parametrize(("spoil", "said"), SPOILT)
def test_bad_files_are_named(camvid: Path, spoil: Callable[[Path], object], said: str):
    spoil(camvid)
    for read in (TrainingImages, check):
        with pytest.raises(DataError, match=said):
            read(open_set("camvid", camvid, "train"))


def test_a_split_that_is_not_there(camvid: Path):
    with pytest.raises(DataError, match="test/images is not a folder.*folders train, val"):
        open_set("camvid", camvid, "test")
    (camvid / "test/images").mkdir(parents=True)
    with pytest.raises(DataError, match="test/images contains no images"):
        open_set("camvid", camvid, "test")
