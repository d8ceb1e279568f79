"""Commands given files that are not what they seem: one line, exit code 3, no hang."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from bisenet_ros.cli import main
from bisenet_ros.errors import DataError
from bisenet_ros.recordings.bag_files import open_bag
from bisenet_ros.recordings.rosbag import Bag
from bisenet_ros.recordings.sources import FolderSource, open_source

DEADLINE_S = 20


@contextlib.contextmanager
def deadline() -> Iterator[None]:
    """Fail instead of hanging."""

    def late(*_: object) -> None:
        raise AssertionError(f"still running after {DEADLINE_S} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(DEADLINE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A data set of two classes and four images."""
    root = tmp_path / "set"
    random = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for i in range(4):
        cv2.imwrite(str(root / f"images/{i}.png"), random.integers(0, 256, (64, 64, 3), np.uint8))
        cv2.imwrite(str(root / f"masks/{i}.png"), random.integers(0, 2, (64, 64), np.uint8))
    (root / "labels.yaml").write_text(
        "classes: [{name: '[/b]floor[red]', color: [0, 0, 0]}, {name: wall, color: [1, 1, 1]}]"
    )
    return root


def refused(capsys, *line: object, code: int = 3) -> str:
    """The one error line of a command."""
    with deadline():
        assert main([str(word) for word in line]) == code
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1, said
    return said[0]


def check_data(folder: Path) -> list[object]:
    return ["train", "--dataset", "folder", "--data", folder, "--check-data"]


def huge_png() -> bytes:
    """The header of a PNG of 60000×60000 pixels, and nothing in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + content + chunk(b"IEND", b"")


def test_class_names_with_markup_are_shown_as_they_are(folder, capsys):
    assert main([str(word) for word in check_data(folder)]) == 0
    assert "[/b]floor[red]" in capsys.readouterr().out


def test_inspect_shows_markup_and_control_codes_as_they_are(tmp_path, capsys):
    path = two_class_weights(tmp_path, names=("[/b]a", "[red]b"), licence="\x1b[31mours")
    assert main(["inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert "[/b]a" in said and "[red]b" in said
    assert "\x1b[31m" not in said and "\\x1b[31mours" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"classes: [{name: \xff, color: [0, 0, 0]}]", "not UTF-8"),
        (b"classes: &a [*a, *a]", "alias"),
        (b"a: &a [1]\nclasses: [*a]", "alias"),
        (b"classes: " + b"[" * 3000, "nested too deep"),
        (b'classes: [{name: "\\e[31mred", color: [0, 0, 0]}]', "not printable"),
    ],
)
def test_label_lists(folder, capsys, content, said):
    (folder / "labels.yaml").write_bytes(content)
    line = refused(capsys, *check_data(folder))
    assert "labels.yaml" in line and said in line and len(line) < 600


@pytest.mark.parametrize("name", ["images/1.png", "masks/1.png", "labels.yaml"])
def test_a_pipe_among_the_files(folder, capsys, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert "1.png" in refused(capsys, *check_data(folder)) or name == "labels.yaml"


@pytest.mark.parametrize("name", ["images/1.png", "masks/1.png"])
def test_an_image_of_60000_squared(folder, capsys, name):
    (folder / name).write_bytes(huge_png())
    assert "1.png cannot be read" in refused(capsys, *check_data(folder))
    source = FolderSource(folder / "images")
    if name.startswith("images"):
        with pytest.raises(DataError, match="1.png cannot be read"):
            [frame.load() for frame in source.frames()]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_checking_data_finds_images_that_are_cut_off(folder, capsys, suffix):
    image = cv2.imread(str(folder / "images/1.png"))
    (folder / "images/1.png").unlink()
    content = cv2.imencode(suffix, image)[1].tobytes()
    path = folder / f"images/1{suffix}"
    path.write_bytes(content[: len(content) * 2 // 3])
    line = refused(capsys, *check_data(folder))
    assert path.name in line and "cut off" in line


@pytest.mark.parametrize("name", ["pipe.mcap", "pipe.db3", "pipe.mp4"])
def test_a_pipe_as_a_recording(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with deadline(), pytest.raises(DataError, match="is a pipe"):
        open_source(str(tmp_path / name))
    if not name.endswith("mp4"):
        for opened in (Bag, open_bag):
            with deadline(), pytest.raises(DataError, match="is a pipe"):
                opened(tmp_path / name)


def test_a_pipe_as_the_storage_of_a_bag(tmp_path):
    name = "part_0.mcap"
    (tmp_path / "metadata.yaml").write_text(
        "rosbag2_bagfile_information: {version: 5, storage_identifier: mcap, message_count: 1, "
        f"relative_file_paths: [{name}]}}"
    )
    os.mkfifo(tmp_path / name)
    for opened, said in ((Bag, f"{name} is a pipe"), (open_bag, "holds no bag file")):
        with deadline(), pytest.raises(DataError, match=said):
            opened(tmp_path)


def test_a_full_disk_ends_with_one_line_after_the_scores(tmp_path, folder, capsys):
    """The limit on file sizes stands for a full disk: writing fails in the middle."""
    classes = "classes: [{name: a, color: [0, 0, 0]}, {name: b, color: [1, 1, 1]}]"
    (folder / "labels.yaml").write_text(classes)
    weights = two_class_weights(tmp_path)
    line = ["evaluate", "--data", folder, "--dataset", "folder", "--weights", weights]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        code = main([str(word) for word in (*line, "--report", tmp_path / "report")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    found = capsys.readouterr()
    assert code == 3 and "mIoU" in found.out
    said = found.err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("error: ") and "large" in said[0], said
    assert not (tmp_path / "report").exists()


def two_class_weights(folder: Path, names=("a", "b"), licence: str = "none") -> Path:
    from bisenet_ros.checkpoints import ModelCard, save
    from bisenet_ros.labels import LabelSet
    from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config

    options = {"num_classes": 2, "head_width": 32, "auxiliary_width": 8}
    card = ModelCard(
        architecture="bisenetv2",
        options=options,
        labels=LabelSet(names, ((0, 0, 0), (1, 1, 1))),
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.25),
        resolution=(64, 64),
        dataset="made up",
        scores={},
        licence=licence,
        command="pytest",
    )
    return save(folder / "two.safetensors", BiSeNetV2(BiSeNetV2Config(**options)), card)
