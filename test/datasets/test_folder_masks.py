"""Masks of anybody's folder: 0 and 255, 16 bits, palettes, sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trees import noise, write, write_indexed, write_labels

from bisenet_ros.datasets import DatasetOptions, LabelledSet, check, open_set
from bisenet_ros.errors import DataError

OBJECT = np.array([[0, 255, 255], [0, 0, 255]], np.uint8)
NAMES = [{"name": "floor", "color": [10, 20, 30]}, {"name": "box", "color": [200, 0, 0]}]


def made(root: Path, masks: list[np.ndarray], **listed: object) -> LabelledSet:
    """A folder of images of noise with these masks, all of them ``train``."""
    for index, mask in enumerate(masks):
        write(root / f"masks/{index}.png", mask)
        write(root / f"images/{index}.png", noise(*mask.shape[:2], seed=index))
    (root / "train.txt").write_text("".join(f"{i}\n" for i in range(len(masks))))
    if listed:
        write_labels(root, **listed)
    return open_set("folder", root, "train")


def test_without_a_list_black_is_background_and_white_the_object(tmp_path: Path):
    data = made(tmp_path, [OBJECT, OBJECT * 0])
    assert data.labels.names == ("background", "object")
    assert data.read(0)[1].tolist() == [[0, 1, 1], [0, 0, 1]]
    assert "0 is read as background, 255 as object" in data.notes[0]
    assert check(data).counts.tolist() == [9, 3]


def test_two_listed_classes_are_black_and_white(tmp_path: Path):
    data = made(tmp_path, [OBJECT], classes=NAMES)
    assert data.labels.names == ("floor", "box")
    assert data.read(0)[1].tolist() == [[0, 1, 1], [0, 0, 1]]
    assert "ignore: [255]" in data.notes[0]


def test_one_listed_class_is_the_object(tmp_path: Path):
    data = made(tmp_path, [OBJECT], classes=NAMES[1:])
    assert data.labels.names == ("background", "box")
    assert data.read(0)[1].tolist() == [[0, 1, 1], [0, 0, 1]]


def test_colours_of_black_and_white_may_be_the_other_way_round(tmp_path: Path):
    names = [{"name": "free", "color": [255] * 3}, {"name": "taken", "color": [0] * 3}]
    for kind, mask in (("grey", OBJECT), ("colours", np.dstack([OBJECT] * 3))):
        data = made(tmp_path / kind, [mask], classes=names)
        assert data.read(0)[1].tolist() == [[1, 0, 0], [1, 1, 0]]


@pytest.mark.parametrize("extra", [{"ignore": [255]}, {}])
def test_255_is_unlabelled_where_it_is_said_or_other_ids_occur(
    tmp_path: Path, extra: dict[str, object]
):
    masks = [OBJECT] if extra else [OBJECT, np.ones((2, 3), np.uint8)]
    data = made(tmp_path, masks, classes=NAMES, **extra)
    assert data.read(0)[1].tolist() == OBJECT.tolist() and not data.notes


def test_three_classes_in_black_and_white_are_refused(tmp_path: Path):
    classes = [*NAMES, {"name": "wall", "color": [0, 0, 9]}]
    with pytest.raises(DataError, match="lists 3 classes, but the masks hold 0 and 255 alone"):
        made(tmp_path, [OBJECT], classes=classes)


def test_a_mask_that_is_not_black_and_white_like_the_rest(tmp_path: Path):
    data = made(tmp_path, [OBJECT] * 200, classes=NAMES)
    write(tmp_path / "masks/101.png", OBJECT // 2)
    data = open_set("folder", tmp_path, "train")
    with pytest.raises(DataError, match="101.png holds more than 0 and 255"):
        check(data)


def test_a_missing_list_says_what_the_masks_hold(tmp_path: Path):
    with pytest.raises(DataError, match="labels.yaml cannot be read.*hold the ids 0 to 2 and 255"):
        made(tmp_path, [np.array([[0, 1, 2, 255]], np.uint8)])


def test_ids_of_16_bits(tmp_path: Path):
    classes = [{**NAMES[0], "id": 3}, {**NAMES[1], "id": 30_000}]
    mask = np.array([[3, 30_000, 65_535, 255]], np.uint16)
    data = made(tmp_path, [mask], classes=classes)
    assert data.read(0)[1].tolist() == [[0, 1, 255, 255]]
    write(tmp_path / "masks/0.png", mask + 1)
    with pytest.raises(DataError, match="holds id .* and 4 ids in all"):
        open_set("folder", tmp_path, "train").read(0)


def test_a_palette_without_the_listed_colours_is_for_the_eye(tmp_path: Path):
    mask = np.array([[0, 1, 1]], np.uint8)
    data = made(tmp_path, [mask], classes=NAMES)
    write_indexed(tmp_path / "masks/0.png", mask)
    assert data.read(0)[1].tolist() == mask.tolist()


@pytest.mark.parametrize(("mask", "image"), [((2, 3), (4, 6)), ((6, 9), (2, 3)), ((2, 3), (6, 9))])
def test_masks_of_a_whole_fraction_are_resized_if_allowed(
    tmp_path: Path, mask: tuple[int, int], image: tuple[int, int]
):
    ids = np.arange(mask[0] * mask[1]).reshape(mask) % 2
    made(tmp_path, [ids.astype(np.uint8)], classes=NAMES)
    write(tmp_path / "images/0.png", noise(*image))
    data = open_set("folder", tmp_path, "train")
    for read in (lambda: data.read(0), lambda: check(data)):
        with pytest.raises(DataError, match="--resize-masks takes the nearest id"):
            read()
    data = open_set("folder", tmp_path, "train", DatasetOptions(resize_masks=True))
    with pytest.warns(UserWarning, match="resized to their images by a whole factor"):
        found = data.read(0)[1]
    rows = ((np.arange(image[0]) + 0.5) * mask[0] / image[0]).astype(int)
    columns = ((np.arange(image[1]) + 0.5) * mask[1] / image[1]).astype(int)
    assert np.array_equal(found, ids[rows][:, columns])
    with pytest.warns(UserWarning, match="resized"):
        assert check(data).sizes == {image: 1}


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ((3, 4), "expected the same size"),
        ((4, 3), "expected the same size"),
        ((3, 2), "a camera's rotation tag"),
    ],
)
def test_other_sizes_are_refused(tmp_path: Path, image: tuple[int, int], said: str):
    made(tmp_path, [np.array([[0, 1, 0], [1, 1, 1]], np.uint8)], classes=NAMES)
    write(tmp_path / "images/0.png", noise(*image))
    data = open_set("folder", tmp_path, "train", DatasetOptions(resize_masks=True))
    with pytest.raises(DataError, match=said):
        data.read(0)
