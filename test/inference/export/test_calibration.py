"""Folders of labelled images: read and scored; errors name the file."""

import cv2
import numpy as np
import pytest

from bisenet_ros.errors import DataError
from bisenet_ros.inference.export.calibration import labelled_images, score

RANDOM = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for name, suffix in (("a", ".png"), ("b", ".jpg"), ("c", ".png")):
        image = RANDOM.integers(0, 256, (8, 9, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"images/{name}{suffix}"), image)
        cv2.imwrite(str(tmp_path / f"labels/{name}.png"), RANDOM.integers(0, 4, (8, 9), np.uint8))
    return tmp_path


def test_the_labels_themselves_score_one_and_unknown_ids_are_ignored(folder):
    pairs = labelled_images(folder)
    truths = iter([pair.read(3)[1] for pair in pairs])
    assert all(set(np.unique(pair.read(3)[1])) == {0, 1, 2, 255} for pair in pairs)
    found = score(lambda image: next(truths), pairs, 3)
    assert found.miou == 1 and found.confusion.sum() < 3 * 72


def test_images_come_as_rgb(folder):
    pair = labelled_images(folder)[0]
    bgr = cv2.imread(str(pair.image))
    assert np.array_equal(pair.read(3)[0], bgr[..., ::-1])


def test_what_is_missing_is_named(folder, tmp_path):
    (folder / "labels/b.png").unlink()
    with pytest.raises(DataError, match=r"b\.png is missing"):
        labelled_images(folder)
    with pytest.raises(DataError, match="has no images/"):
        labelled_images(tmp_path / "nowhere")
    for name in ("b.jpg", "c.png"):
        (folder / "images" / name).unlink()
    with pytest.raises(DataError, match="has 1 images"):
        labelled_images(folder)


def test_what_is_broken_is_named(folder):
    (folder / "labels/a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.png cannot be read as 8-bit ids"):
        labelled_images(folder)[0].read(3)
    cv2.imwrite(str(folder / "labels/a.png"), np.zeros((3, 3), np.uint8))
    with pytest.raises(DataError, match=r"a\.png is \(3, 3\), but its image is \(8, 9\)"):
        labelled_images(folder)[0].read(3)
