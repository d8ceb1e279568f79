"""What is told of a set as a whole."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import Drawn, drawn_images
from exports import FORMATS, NAMES, folder
from trees import write, write_sideways

from bisenet_ros.datasets.near_duplicates import Fingerprint, fingerprint, shared_between
from bisenet_ros.datasets.pictures import check_whole
from bisenet_ros.datasets.registry import open_every_split
from bisenet_ros.datasets.survey import Survey, look_through, outline
from bisenet_ros.datasets.synthetic_shapes import picture
from bisenet_ros.errors import DataError

IMAGES = drawn_images(4, 2, (96, 128))


def surveyed(root: Path, images: bool = True) -> Survey:
    return look_through(*open_every_split("auto", root), images)


def kinds(survey: Survey) -> list[str]:
    return [problem.kind for problem in survey.problems]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_the_same_figures(tmp_path: Path, name: str):
    survey = surveyed(FORMATS[name][0](tmp_path / "set", IMAGES))
    expected = np.bincount(np.concatenate([one.ids.reshape(-1) for one in IMAGES]), minlength=6)
    told = survey.as_dict()
    assert survey.problems == [] and told["format"] == FORMATS[name][1]
    assert [entry["name"] for entry in told["classes"]] == list(NAMES)
    assert [entry["pixels"] for entry in told["classes"]] == expected.tolist()
    assert np.allclose([entry["share"] for entry in told["classes"]], expected / expected.sum())
    held = [sum(bool((one.ids == id).any()) for one in IMAGES) for id in range(6)]
    assert [entry["images"] for entry in told["classes"]] == held
    assert told["sizes"] == [{"height": 96, "width": 128, "images": 6}]
    assert sum(told["splits"].values()) == 6 and told["unlabelled_share"] == 0


def test_without_reading_anything(tmp_path: Path):
    root = folder(tmp_path / "set", IMAGES)
    (root / "masks/t0.png").write_bytes(b"x")
    survey = outline(*open_every_split("auto", root))
    assert survey.splits == {"train": 4, "val": 2} and not survey.problems
    assert survey.as_dict()["classes"][0]["share"] == 0


def test_all_that_is_broken_is_listed(tmp_path: Path):
    root = folder(tmp_path / "set", IMAGES)
    (root / "masks/t0.png").write_bytes(b"x")
    write(root / "masks/t2.png", np.full((96, 128), 77, np.uint8))
    content = (root / "images/v0.jpg").read_bytes()
    (root / "images/v0.jpg").write_bytes(content[: len(content) // 2])
    survey = surveyed(root)
    assert kinds(survey) == ["broken"] * 3 and survey.fatal == survey.problems
    assert [text.split("/")[-1].split()[0] for text in _texts(survey)] == [
        "t0.png", "t2.png", "v0.jpg",
    ]  # fmt: skip
    assert kinds(surveyed(root, images=False))[:2] == ["broken"] * 2


def _texts(survey: Survey) -> list[str]:
    return [problem.text.partition(";")[0] for problem in survey.problems]


def test_images_in_two_splits_are_found(tmp_path: Path):
    images = drawn_images(2, 1, (240, 360))
    root = folder(tmp_path / "set", images)
    # The same picture again, half the size and compressed harder.
    small = cv2.resize(images[1].image[..., ::-1], (180, 120), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(root / "images/v9.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 30])
    write(root / "masks/v9.png", np.zeros((120, 180), np.uint8))
    (root / "val.txt").write_text("v0\nv9\n")
    survey = surveyed(root)
    assert kinds(survey) == ["leak"] and not survey.fatal
    assert "images/t1.jpg of train and " in survey.problems[0].text
    assert "images/v9.jpg of val look the same" in survey.problems[0].text
    assert kinds(surveyed(root, images=False)) == []


def test_classes_and_images_without_pixels(tmp_path: Path):
    empty = [
        Drawn(one.name, one.split, one.image, np.where(one.ids == 3, 255, one.ids).astype(np.uint8))
        for one in IMAGES
    ]
    empty[0] = Drawn("t0", "train", IMAGES[0].image, np.full((96, 128), 255, np.uint8))
    survey = surveyed(folder(tmp_path / "set", empty))
    assert kinds(survey) == ["unlabelled", "absent"] and not survey.fatal
    assert "1 images have no labelled pixel" in survey.problems[0].text
    assert "t0.png" in survey.problems[0].text
    assert f"no pixel has the class {NAMES[3]!r}" in survey.problems[1].text
    assert survey.as_dict()["unlabelled_share"] > 1 / 6


def test_pictures_that_a_camera_turned(tmp_path: Path):
    root = folder(tmp_path / "set", IMAGES)
    write_sideways(root / "images/t0.jpg", np.rot90(IMAGES[0].image).copy())
    for images in (True, False):
        survey = surveyed(root, images)
        assert survey.sizes == {(96, 128): 6} and not survey.fatal


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_files_that_are_cut_off(tmp_path: Path, suffix: str):
    path = write(tmp_path / f"a{suffix}", IMAGES[0].image)
    check_whole(path)
    content = path.read_bytes()
    path.write_bytes(content + b"what a camera appends")
    check_whole(path)
    for kept in (len(content) - 2, len(content) // 2, 20, 3):
        path.write_bytes(content[:kept])
        with pytest.raises(DataError, match=f"a{suffix} is cut off"):
            check_whole(path)


def test_progressive_pictures_are_whole(tmp_path: Path):
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), IMAGES[0].image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    check_whole(path)


def pairs(first: list[Fingerprint], second: list[Fingerprint]) -> list[tuple[str, int, str, int]]:
    return list(shared_between({"a": dict(enumerate(first)), "b": dict(enumerate(second))}))


def test_other_images_do_not_look_the_same():
    many = [
        fingerprint(picture((96, 128), np.random.default_rng([9, index]))[0]) for index in range(60)
    ]
    assert pairs(many[:30], many[30:]) == []
    assert pairs(many[:30], many[20:30]) == [("a", 20 + i, "b", i) for i in range(10)]
    assert pairs([], many) == []


def test_light_and_compression_do_not_hide_an_image():
    image = picture((192, 256), np.random.default_rng(4))[0]
    darker = (image * 0.8).astype(np.uint8)
    coded = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 1)
    larger = cv2.resize(image, (400, 300), interpolation=cv2.INTER_LINEAR)
    seen = [fingerprint(other) for other in (darker, coded, larger)]
    assert len(pairs([fingerprint(image)], seen)) == 3
    assert pairs([fingerprint(image)], [fingerprint(image[:, ::-1].copy())]) == []


def test_flat_images_of_other_brightness_patterns():
    """Without texture every difference is 0, so that the hashes say nothing."""
    flat = np.full((64, 64, 3), 90, np.uint8)
    lit = flat + (np.arange(64)[:, None, None] * 2).astype(np.uint8)
    assert pairs([fingerprint(flat)], [fingerprint(lit)]) == []
    assert len(pairs([fingerprint(flat)], [fingerprint(flat + 1)])) == 1
