"""What the player gets of bags that only tolerant readers read."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import zstandard
from bag_formats import broken, write_mcap, write_ros1, write_rosbag2
from drives import IMAGES, PERIOD, START, drive, scene

from bisenet_ros.recordings.bag_frames import BagFrames
from bisenet_ros.recordings.playable import playable
from bisenet_ros.recordings.sources import BagSource

FRAMES = 6


def played(path: Path, folder: Path) -> list[tuple[int, np.ndarray]]:
    """Stamp and picture of the frames that the player reads."""
    folder.mkdir()
    with closing(BagFrames(path)) as frames:
        bag, topic = playable(frames, folder), frames.images.name
    with closing(BagSource(bag, topic, ())) as source:
        found = []
        for frame in source.frames():
            content = frame.load().content
            image = np.asarray(content.data).reshape(content.height, content.width, 3)
            assert content.encoding == "bgr8" and content.header.frame_id == "camera"
            found.append((frame.stamp_ns, image))
    return found


def check(frames: list[tuple[int, np.ndarray]], count: int = FRAMES) -> None:
    assert len(frames) == count
    for index, (stamp, image) in enumerate(frames):
        assert stamp == START + index * PERIOD
        assert np.array_equal(image, scene(index)[0])


def test_a_whole_rosbag2_is_played_itself(tmp_path):
    bag = write_rosbag2(tmp_path / "drive", drive(2))
    with closing(BagFrames(bag)) as frames:
        assert playable(frames, tmp_path / "nowhere") == bag


@pytest.mark.parametrize("bz2", [False, True])
def test_a_ros_1_bag(tmp_path, bz2):
    notes = [*drive(FRAMES), broken(IMAGES, START + FRAMES * PERIOD)]
    check(played(write_ros1(tmp_path / "drive.bag", notes, bz2), tmp_path / "copy"))


def test_a_packed_bag(tmp_path):
    bag = write_mcap(tmp_path / "drive.mcap", drive(FRAMES))
    packed = tmp_path / "drive.mcap.zstd"
    packed.write_bytes(zstandard.compress(bag.read_bytes()))
    check(played(packed, tmp_path / "copy"))


def test_a_bag_that_was_cut_short(tmp_path):
    bag = write_mcap(tmp_path / "drive.mcap", drive(FRAMES))
    content = bag.read_bytes()
    bag.write_bytes(content[: len(content) // 2])
    frames = played(bag, tmp_path / "copy")
    assert 0 < len(frames) < FRAMES
    check(frames, len(frames))
