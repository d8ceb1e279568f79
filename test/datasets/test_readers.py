"""Every format of the same images gives the same ids, names and figures."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from drawn import drawn_images
from exports import FORMATS, NAMES

from bisenet_ros.datasets import DATASETS, check, open_set
from bisenet_ros.datasets.recognition import recognise
from bisenet_ros.datasets.registry import open_every_split

IMAGES = drawn_images()
ASK = {name: spec.recognise for name, spec in DATASETS.items()}


def by_image(root: Path) -> dict[str, np.ndarray]:
    """The ids of every image by what its pixels are near to: names differ between tools."""
    _, splits = open_every_split("auto", root)
    found = {}
    for labelled in splits.values():
        for index in range(len(labelled)):
            image, ids = labelled.read(index)
            near = [np.abs(image.astype(int) - one.image).mean() for one in IMAGES]
            found[IMAGES[int(np.argmin(near))].name] = ids
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_ids(tmp_path: Path, name: str):
    write, kind = FORMATS[name]
    root = write(tmp_path / "set", IMAGES)
    assert recognise(root, ASK).format == kind
    found = by_image(root)
    assert sorted(found) == sorted(one.name for one in IMAGES)
    for one in IMAGES:
        assert found[one.name].dtype == np.uint8
        assert np.array_equal(found[one.name], one.ids), one.name
    _, splits = open_every_split(kind, root)
    assert all(labelled.labels.names == NAMES for labelled in splits.values())


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_the_same_figures(tmp_path: Path, name: str):
    write, kind = FORMATS[name]
    root = write(tmp_path / "set", IMAGES)
    _, splits = open_every_split(kind, root)
    counts = sum(check(labelled).counts for labelled in splits.values())
    expected = np.bincount(np.concatenate([one.ids.reshape(-1) for one in IMAGES]), minlength=6)
    assert np.array_equal(counts, expected)
    if kind != "label-studio":  # which knows no splits
        assert {split: len(labelled) for split, labelled in splits.items()} == {
            "train": 4,
            "val": 2,
        }


@pytest.mark.parametrize("name", FORMATS)
def test_zips_read_as_folders_do(tmp_path: Path, name: str):
    write, kind = FORMATS[name]
    root = write(tmp_path / "set", IMAGES)
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, Path("inner", path.relative_to(root)))
    labelled, zipped = open_set(kind, root, "train"), open_set("auto", packed, "train")
    assert zipped.labels == labelled.labels
    for index in range(len(labelled)):
        assert np.array_equal(zipped.read(index)[1], labelled.read(index)[1])
