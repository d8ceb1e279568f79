"""``python -m bisenet_ros data``: what it prints, writes and ends with."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from drawn import drawn_images
from exports import NAMES, coco, cvat, folder
from html_page import Page
from trees import write

from bisenet_ros.cli import main
from bisenet_ros.datasets.export import EXPORTERS
from bisenet_ros.datasets.registry import open_every_split

IMAGES = drawn_images(3, 2, (96, 128))
Capture = pytest.CaptureFixture[str]


def run(*words: object) -> int:
    return main(["data", *map(str, words)])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return cvat(tmp_path / "set", IMAGES)


def test_it_says_what_there_is(root: Path, capsys: Capture):
    assert run(root) == 0
    out = capsys.readouterr().out
    assert "cvat: it has labelmap.txt and SegmentationClass/" in out
    assert "images: train 3, val 2" in out and "6 classes: background, disc, tri" in out


def test_shares_of_each_class(root: Path, capsys: Capture):
    assert run(root, "--stats") == 0
    out = capsys.readouterr().out
    ids = np.concatenate([one.ids.reshape(-1) for one in IMAGES])
    for index, name in enumerate(NAMES):
        line = next(line for line in out.splitlines() if f" {name} " in line)
        assert f"{100 * (ids == index).mean():.2f} %" in line
    assert "128×96 (5)" in out


@pytest.mark.parametrize("extra", [[], ["--check"], ["--stats"]])
def test_all_of_it_as_json(root: Path, tmp_path: Path, extra: list[str]):
    assert run(root, "--json", tmp_path / "a.json", *extra) == 0
    told: dict[str, Any] = json.loads((tmp_path / "a.json").read_text())
    assert told["format"] == "cvat" and told["splits"] == {"train": 3, "val": 2}
    assert [entry["name"] for entry in told["classes"]] == list(NAMES)
    assert sum(entry["share"] for entry in told["classes"]) == pytest.approx(1)
    assert told["classes"][0]["images"] == 5 and told["problems"] == []


def test_broken_files_are_listed_and_end_with_3(root: Path, tmp_path: Path, capsys: Capture):
    image = root / "JPEGImages/t1.jpg"
    image.write_bytes(image.read_bytes()[:-40])
    write(root / "SegmentationClass/v0.png", np.full((96, 128, 3), 77, np.uint8))
    assert run(root, "--check", "--json", tmp_path / "a.json") == 3
    errors = capsys.readouterr().err
    assert "t1.jpg is cut off" in errors and "v0.png contains colour (77, 77, 77)" in errors
    assert "1 more listed above" in errors
    problems = json.loads((tmp_path / "a.json").read_text())["problems"]
    assert [problem["kind"] for problem in problems] == ["broken", "broken"]
    assert run(root) == 0  # which reads no pictures


def test_leaks_are_warnings(root: Path, tmp_path: Path, capsys: Capture):
    (root / "JPEGImages/v0.jpg").write_bytes((root / "JPEGImages/t0.jpg").read_bytes())
    assert run(root, "--check", "--json", tmp_path / "a.json") == 0
    assert "warning: " in capsys.readouterr().err
    (problem,) = json.loads((tmp_path / "a.json").read_text())["problems"]
    assert problem["kind"] == "leak" and not problem["fatal"]
    assert "t0.jpg of train" in problem["text"] and "v0.jpg of val" in problem["text"]


def test_many_problems_are_cut_short_on_the_terminal(tmp_path: Path, capsys: Capture):
    root = folder(tmp_path / "set", drawn_images(30, 1, (48, 64)))
    for path in (root / "masks").glob("t*.png"):
        path.write_bytes(b"x")
    assert run(root, "--check", "--dataset", "folder") == 3
    errors = capsys.readouterr().err
    assert errors.count("error: ") == 20 + 1 and "10 more problems; --json has them all" in errors


@pytest.mark.parametrize("suffix", [".png", ".html"])
def test_a_sheet_is_written(root: Path, tmp_path: Path, suffix: str):
    path = tmp_path / f"sheet{suffix}"
    assert run(root, "--show", 4, "--sheet", path) == 0
    if suffix == ".png":
        picture = cv2.imread(str(path))
        assert picture is not None and picture.shape[1] > 1000
    else:
        found = Page(path.read_text())
        assert len(found.sources) == 4 and "disc" in found.words


@pytest.mark.parametrize("to", EXPORTERS)
def test_conversions(root: Path, tmp_path: Path, capsys: Capture, to: str):
    assert run(root, tmp_path / "out", "--to", to) == 0
    assert f"5 images as {to} in " in capsys.readouterr().out
    found, splits = open_every_split("auto", tmp_path / "out")
    assert found.format == to and {name: len(s) for name, s in splits.items()} == {
        "train": 3,
        "val": 2,
    }


def test_zips(root: Path, tmp_path: Path, capsys: Capture):
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in root.rglob("*"):
            archive.write(file, file.relative_to(root))
    assert run(path, "--check", "--json", tmp_path / "a.json") == 0
    assert json.loads((tmp_path / "a.json").read_text())["splits"] == {"train": 3, "val": 2}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--to", "cvat"], 2, "--to FORMAT and the folder to write go together"),
        (["OUT"], 2, "--to FORMAT and the folder to write go together"),
        (["OUT", "--to", "yolo"], 2, "--to is 'yolo'; expected one of folder, cvat"),
        (["--dataset", "kitti"], 2, "'kitti'; expected one of auto, "),
        (["--dataset", "coco"], 3, "has no JSON with images"),
        (["--show", "1", "--sheet", "a.gif"], 2, "expected a name that ends in .png or .html"),
        (["--json", "/nowhere/a.json"], 2, "--json /nowhere/a.json cannot be written"),
    ],
    ids=str,
)
def test_refusals(
    root: Path, tmp_path: Path, capsys: Capture, words: list[str], code: int, said: str
):
    given = [str(tmp_path / "out") if word == "OUT" else word for word in words]
    assert run(root, *given) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folders_of_nothing_and_of_too_much(root: Path, tmp_path: Path, capsys: Capture):
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty") == 3
    assert "it holds no files; there are no images" in capsys.readouterr().err
    coco(root, IMAGES)
    assert run(root) == 2
    assert "may be of 2 formats" in capsys.readouterr().err


def test_masks_of_another_size(tmp_path: Path, capsys: Capture):
    root = folder(tmp_path / "set", IMAGES)
    for path in (root / "masks").iterdir():
        write(path, IMAGES[0].ids[::2, ::2])
    assert run(root, "--stats") == 3
    assert "--resize-masks" in capsys.readouterr().err
    assert run(root, "--stats", "--resize-masks") == 0
    assert capsys.readouterr().err.count("warning: masks are resized") == 1
