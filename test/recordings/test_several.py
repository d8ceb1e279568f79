"""Names that stand for several recordings, recordings one after the other, and at URLs."""

from __future__ import annotations

from pathlib import Path

import pytest
from bag_formats import write_mcap, write_rosbag2
from drives import PERIOD, START, drive

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.bag_frames import BagFrames, BagOptions
from bisenet_ros.recordings.chained import ChainedFrames
from bisenet_ros.recordings.frame_stream import read_chosen, read_frames
from bisenet_ros.recordings.label_decoding import LabelCoding
from bisenet_ros.recordings.remote import local_copy
from bisenet_ros.recordings.several import find_recordings, short_names


@pytest.fixture
def bags(tmp_path: Path) -> Path:
    folder = tmp_path / "bags"
    folder.mkdir()
    for name in ("b10", "b9"):
        write_mcap(folder / f"{name}.mcap", drive(2))
    write_rosbag2(folder / "folder", drive(3))
    (folder / "notes.txt").write_text("no bag")
    return folder


def test_folders_and_globs_are_the_bags_in_them(bags: Path):
    b9, b10, folder = (str(bags / name) for name in ("b9.mcap", "b10.mcap", "folder"))
    assert find_recordings([str(bags)]) == [b9, b10, folder]
    assert find_recordings([folder]) == [folder]
    assert find_recordings([f"{bags}/*.mcap", b9]) == [b9, b10]
    assert find_recordings([f"{bags}/*"]) == [b9, b10, folder]
    assert find_recordings(["no.mcap", "s3://a/*.mcap"]) == ["no.mcap", "s3://a/*.mcap"]
    with pytest.raises(DataError, match="matches no recording"):
        find_recordings([f"{bags}/*.bag"])
    assert short_names([b9, "x/b9.db3.zstd", "s3://a/b 1/", "/"]) == [
        "b9",
        "b9-2",
        "b_1",
        "recording",
    ]


def test_chained_recordings_are_read_as_one(bags: Path):
    def chained() -> ChainedFrames:
        options = BagOptions(coding=LabelCoding(3))
        return ChainedFrames([BagFrames(bags / name, options) for name in ("b9.mcap", "folder")])

    source = chained()
    frames = list(read_frames(source))
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.stamp_ns for frame in frames] == [START + i * PERIOD for i in (0, 1, 0, 1, 2)]
    assert all(frame.truth is not None for frame in frames)
    assert source.expected == 5 and source.notes.counts["stamps_back"] == 1
    assert [frame.index for frame in read_chosen(source, {1, 3})] == [1, 3]
    assert [one["messages"] for one in source.facts()["recordings"]] == [2, 3]
    source.close()


def test_urls_are_copied_once(bags: Path, tmp_path: Path):
    pytest.importorskip("fsspec")
    cache = tmp_path / "cache"
    assert local_copy(str(bags), cache) == bags
    file = local_copy(f"file://{bags}/b9.mcap", cache)
    assert file.name == "b9.mcap" and file.read_bytes() == (bags / "b9.mcap").read_bytes()
    folder = local_copy(f"file://{bags}/folder", cache)
    assert BagFrames(folder).expected == 3
    before = file.stat().st_ino
    assert local_copy(f"file://{bags}/b9.mcap", cache).stat().st_ino == before
    write_mcap(bags / "b9.mcap", drive(4))
    newer = local_copy(f"file://{bags}/b9.mcap", cache)
    assert newer != file and BagFrames(newer).expected == 4
    assert not list(cache.glob(".unfinished-*"))


def test_urls_that_lead_nowhere_are_refused(tmp_path: Path):
    pytest.importorskip("fsspec")
    with pytest.raises(DataError, match="cannot be read"):
        local_copy(f"file://{tmp_path}/no.mcap", tmp_path)
    with pytest.raises(DataError, match="cannot be opened"):
        local_copy("nowhere://a/b.mcap", tmp_path)
    assert list(tmp_path.iterdir()) == []
