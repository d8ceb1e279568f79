"""What holds for data sets of any layout: options, reading, checking, picture files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from trees import cityscapes, folder, noise, write, write_indexed, write_sideways

from bisenet_ros.datasets import DATASETS, DatasetOptions, TrainingImages, check, open_set
from bisenet_ros.datasets.pictures import image_size, read_label, read_rgb
from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.system.share import share_file


def test_options_that_do_not_fit(camvid: Path):
    with pytest.raises(ArgumentError, match="'kitti'; expected one of auto, camvid"):
        open_set("kitti", camvid, "train")
    with pytest.raises(ArgumentError, match="stuff_only is set for camvid"):
        open_set("camvid", camvid, "train", DatasetOptions(stuff_only=True))
    for share in (0, 1, -0.1):
        with pytest.raises(ArgumentError, match="val_share"):
            open_set("folder", camvid, "train", DatasetOptions(val_share=share))


@pytest.mark.parametrize(
    "kind", [kind for kind, spec in DATASETS.items() if not spec.makes_its_own]
)
def test_a_folder_that_is_not_there(tmp_path: Path, kind: str):
    with pytest.raises(DataError, match="nowhere"):
        open_set(kind, tmp_path / "nowhere", "train")


@pytest.mark.parametrize(
    ("name", "count"), [("camvid", 11), ("cityscapes", 19), ("coco-stuff", 171)]
)
def test_the_shipped_label_lists(name: str, count: int):
    labels = LabelSet.read(share_file(f"config/labels/{name}.yaml"))
    assert len(labels) == count
    assert len(set(labels.names)) == len(set(labels.colours)) == count


@pytest.mark.parametrize("keep", [0, 10**9])
def test_torch_sees_what_is_on_disk(camvid: Path, keep: int):
    labelled = open_set("camvid", camvid, "train")
    data = TrainingImages(labelled, keep=keep)
    assert len(data) == 4 and (data.pairs is None) == (keep == 0)
    image, label = data[2]
    pixels, ids = labelled.read(2)
    assert image.dtype == torch.uint8 and label.dtype == torch.int64
    assert np.array_equal(image.numpy(), pixels.transpose(2, 0, 1))
    assert np.array_equal(label.numpy(), ids)
    assert all(map(np.array_equal, data.read(2), (pixels, ids)))


def test_a_set_that_grows_above_the_limit_is_not_kept(camvid: Path):
    write(camvid / "val/images/1.png", noise(200, 300))
    write(camvid / "val/labels/1.png", np.zeros((200, 300), np.uint8))
    labelled = open_set("camvid", camvid, "val")
    assert TrainingImages(labelled, keep=96 * 128 * 4 * 2).pairs is None


def test_checking_counts_pixels(tmp_path: Path):
    root = folder(tmp_path, 4, ignore=[7])
    write(root / "masks/00.png", np.full((8, 10), 7, np.uint8))
    write(root / "images/02.jpg", noise(4, 5))
    write(root / "masks/02.png", np.array([[0, 0, 0, 1, 255]] * 4, np.uint8))
    (root / "val.txt").write_text("00\ndeep/01\n02\n")
    told: list[int] = []
    found = check(open_set("folder", root, "val"), told.append, workers=2)
    assert told == [1, 2, 3] and found.images == 3
    assert found.counts.tolist() == [12, 84, 0] and found.unlabelled == 84
    assert found.shares.tolist() == [12 / 96, 84 / 96, 0] and found.absent == ("thing",)
    assert found.sizes == {(8, 10): 2, (4, 5): 1}
    assert [found.images_with(c).tolist() for c in range(3)] == [[2], [1, 2], []]


def test_checking_names_the_first_bad_file(camvid: Path):
    for i in (3, 1):
        write(camvid / f"train/labels/{i}.png", np.full((96, 128), 100 + i, np.uint8))
    with pytest.raises(DataError, match="1.png contains id 101"):
        check(open_set("camvid", camvid, "train"), workers=4)


def test_checking_a_set_without_labels(tmp_path: Path):
    data = open_set("cityscapes", cityscapes(tmp_path, np.zeros((2, 2), np.uint8)), "val")
    with pytest.raises(DataError, match="none of the 2 labels of val has a labelled pixel"):
        check(data)


def test_images_that_a_camera_turned(tmp_path: Path):
    root = folder(tmp_path, 2)
    (root / "val.txt").write_text("00\n")
    path = write_sideways(root / "images/00.jpg", noise(10, 8))
    assert image_size(path) == (10, 8) and read_rgb(path).shape == (8, 10, 3)
    data = open_set("folder", root, "val")
    assert data.read(0)[0].shape == (8, 10, 3)
    assert check(data).sizes == {(8, 10): 1}


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_sizes_come_from_the_files_heads(tmp_path: Path, name: str):
    path = write(tmp_path / name, noise(37, 91))
    assert image_size(path) == (37, 91)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match=f"{name} cannot be read"):
        image_size(path)


def test_indices_of_few_bits(tmp_path: Path):
    ids = np.random.default_rng(0).integers(0, 2, (5, 9), np.uint8)
    assert np.array_equal(read_label(write_indexed(tmp_path / "a.png", ids, 1)), ids)
