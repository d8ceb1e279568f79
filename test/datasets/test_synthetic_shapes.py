"""Drawn data sets."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from bisenet_ros.datasets import check, open_set, synthetic_shapes
from bisenet_ros.datasets.synthetic_shapes import CLASSES, draw, picture
from bisenet_ros.errors import ArgumentError, DataError

SIZE = (64, 96)
SCRIPT = Path(__file__).parents[2] / "scripts" / "draw_shapes.py"


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_same_seed_draws_the_same_files(tmp_path: Path):
    for name, train, seed in (("a", 3, 5), ("b", 3, 5), ("more", 4, 5), ("other", 3, 6)):
        draw(tmp_path / name, train, 1, SIZE, seed)
    first = contents(tmp_path / "a")
    assert first == contents(tmp_path / "b")
    more, other = contents(tmp_path / "more"), contents(tmp_path / "other")
    assert sorted(first) == [
        "images/train_0000.jpg",
        "images/train_0001.jpg",
        "images/train_0002.jpg",
        "images/val_0000.jpg",
        "labels.yaml",
        "masks/train_0000.png",
        "masks/train_0001.png",
        "masks/train_0002.png",
        "masks/val_0000.png",
        "train.txt",
        "val.txt",
    ]
    pictures = [name for name in first if "/" in name]
    assert all(first[name] == more[name] and first[name] != other[name] for name in pictures)
    assert len(set(first.values())) == len(first)  # no image is drawn twice


def test_a_drawn_set_opens_as_a_folder(tmp_path: Path):
    draw(tmp_path, 6, 2, SIZE)
    for kind in ("shapes", "folder"):
        data = open_set(kind, tmp_path, "train")
        assert len(data) == 6 and data.resolution == SIZE
        assert data.labels.names == tuple(CLASSES)
        assert data.labels.colours == tuple(CLASSES.values())
    found = check(data)
    assert found.sizes == {SIZE: 6} and not found.unlabelled and not found.absent
    assert 0.3 < found.shares[0] < 0.9 and (found.shares[1:] > 0.005).all()
    assert len(open_set("shapes", tmp_path, "val")) == 2


def test_images_show_what_masks_say():
    image, ids = picture((256, 512), np.random.default_rng(3))
    assert image.dtype == ids.dtype == np.uint8 and image.shape == (256, 512, 3)
    assert set(np.unique(ids)) <= set(range(6))
    # Blue of squares and crosses, green of triangles: the strongest channel of their mean.
    for name, channel in (("disc", 0), ("triangle", 1), ("square", 2), ("cross", 2)):
        assert image[ids == list(CLASSES).index(name)].mean(0).argmax() == channel


def test_a_set_is_drawn_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "bisenet_ros.datasets.synthetic_shapes.draw", lambda root: draw(root, 2, 1, SIZE)
    )
    (tmp_path / "empty").mkdir()
    for name in ("missing/deep", "empty"):
        assert len(open_set("shapes", tmp_path / name, "train")) == 2
        before = contents(tmp_path / name)
        assert len(open_set("shapes", tmp_path / name, "val")) == 1
        assert contents(tmp_path / name) == before


def test_other_peoples_folders_are_left_alone(tmp_path: Path):
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(ArgumentError, match="holds files"):
        draw(tmp_path, 1, 1, SIZE)
    with pytest.raises(DataError, match="labels.yaml cannot be read"):
        open_set("shapes", tmp_path, "train")
    assert contents(tmp_path) == {"holiday.jpg": b"x"}


def test_half_a_set_is_never_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic_shapes, "_write_labels", stop)
    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path / "set", 1, 1, SIZE)
    assert not list(tmp_path.iterdir())


def test_whoever_draws_first_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def meanwhile(path: Path, size: tuple[int, int]) -> None:
        monkeypatch.undo()
        draw(tmp_path / "set", 1, 1, SIZE)

    monkeypatch.setattr(synthetic_shapes, "_write_labels", meanwhile)
    draw(tmp_path / "set", 1, 1, SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(open_set("shapes", tmp_path / "set", "train")) == 1


def test_a_place_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArgumentError, match="file/set cannot be written"):
        draw(tmp_path / "file" / "set", 1, 1, SIZE)


@pytest.mark.parametrize(
    "changes", [{"train": 0}, {"val": 0}, {"size": (16, 64)}, {"seed": -1}], ids=str
)
def test_sets_too_small_are_refused(tmp_path: Path, changes: dict):
    with pytest.raises(ArgumentError, match="asked to draw"):
        draw(tmp_path / "set", **{"train": 1, "val": 1, "size": SIZE, **changes})
    assert not list(tmp_path.iterdir())


def test_the_script_draws_what_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture):
    main = runpy.run_path(str(SCRIPT))["main"]
    sizes = ["--train", "2", "--val", "1", "--height", "64", "--width", "96", "--seed", "4"]
    assert main(["--out", str(tmp_path / "set"), *sizes]) == 0
    assert "2 + 1 images, 6 classes" in capsys.readouterr().out
    draw(tmp_path / "again", 2, 1, SIZE, 4)
    assert contents(tmp_path / "set") == contents(tmp_path / "again")
    assert main(["--out", str(tmp_path / "set"), *sizes]) == 2
    assert "error: " in capsys.readouterr().err
