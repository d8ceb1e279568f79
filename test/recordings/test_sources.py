import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_maker import BagMaker, picture

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.recordings.rosbag import Message
from bisenet_ros.recordings.sources import (
    BagSource,
    FolderSource,
    SourceFrame,
    VideoSource,
    cut,
    open_source,
)

DRIVE = Path(__file__).parents[1] / "data" / "camvid_drive"


def write_video(path: Path, frames: int, rate: float = 12.5) -> None:
    """A film whose frame i is of grey level 10 + 8 i."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (64, 48))
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 10 + 8 * index, np.uint8))
    writer.release()


def test_a_folder_is_played_in_natural_order(tmp_path: Path):
    for index in (10, 2, 1):
        cv2.imwrite(str(tmp_path / f"frame{index}.png"), picture(index))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "sub.png").mkdir()
    source = open_source(str(tmp_path))
    assert isinstance(source, FolderSource)
    frames = list(source.frames())
    assert [f.stamp_ns for f in frames] == [0, 66_666_667, 133_333_333]
    for frame, seed in zip(frames, (1, 2, 10), strict=True):
        assert np.array_equal(frame.load(), picture(seed))


def test_a_corrupt_image_is_named_and_the_rest_still_plays(tmp_path: Path):
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture(index))
    (tmp_path / "1.png").write_bytes(b"\x89PNG, but no more")
    first, broken, last = open_source(str(tmp_path)).frames()
    assert np.array_equal(first.load(), picture(0))
    with pytest.raises(DataError, match=r"1\.png cannot be read"):
        broken.load()
    assert np.array_equal(last.load(), picture(2))


def test_a_video_plays_at_its_own_rate_and_again(tmp_path: Path):
    write_video(tmp_path / "film.avi", 6)
    source = open_source(str(tmp_path / "film.avi"))
    assert isinstance(source, VideoSource)
    assert source.period_ns == 80_000_000
    for _ in range(2):
        levels = []
        for index, frame in enumerate(source.frames()):
            assert frame.stamp_ns == index * 80_000_000
            levels.append(float(np.mean(frame.load())))
        assert levels == pytest.approx([10 + 8 * i for i in range(6)], abs=3)


def test_cut_plays_all_of_a_recording_whose_stamps_run_backwards():
    stamps = [100 - index for index in range(10)]  # seconds
    frames = [SourceFrame(stamp * 10**9, lambda: None) for stamp in stamps]
    assert list(cut(iter(frames), 0.0, None)) == frames
    jumping = [SourceFrame(s * 10**9, lambda: None) for s in (50, 51, 52, 10, 11, 12)]
    assert list(cut(iter(jumping), 0.0, None)) == jumping
    assert list(cut(iter(jumping), 2.0, 2.0)) == jumping[2:4]  # the clock was set: time went on


def test_cut_takes_seconds_from_the_first_frame_on():
    frames = [SourceFrame(100 * 10**9 + i * 10**8, lambda: np.zeros(0)) for i in range(10)]

    def kept(start: float, duration: float | None) -> list[int]:
        return [frames.index(f) for f in cut(iter(frames), start, duration)]

    assert kept(0, None) == list(range(10))
    assert kept(0.3, None) == list(range(3, 10))
    assert kept(0.3, 0.2) == [3, 4]
    assert kept(0, 0.25) == [0, 1, 2]
    assert kept(5, 1) == []


def test_what_was_recorded_beside_a_frame_stays_with_it(tmp_path: Path):
    with BagMaker(tmp_path / "bag") as maker:
        maker.camera_info("/cam/camera_info", 50, log=90)  # of a frame before the first
        maker.camera_info("/cam/camera_info", 100, log=99)  # logged before its own frame
        maker.raw("/cam/image_raw", 100, picture(0), "rgb8", log=100)
        maker.string("/note", 130, "between")
        maker.raw("/other/mask", 100, picture(0), "rgb8", log=150)  # computed later
        maker.camera_info("/cam/camera_info", 200, log=199)
        maker.raw("/cam/image_raw", 200, picture(1), "rgb8", log=200)
        maker.raw("/other/mask", 100, picture(0), "rgb8", log=260)  # later than the next frame
    source = open_source(str(tmp_path / "bag"), None, ["/other/mask", "/note"])
    assert isinstance(source, BagSource)
    found = []
    for frame in source.frames():
        message = frame.load()
        assert isinstance(message, Message)
        assert message.stamp_ns == frame.stamp_ns
        beside = [(delay, m.topic.name, m.stamp_ns) for delay, m in frame.companions]
        found.append((frame.stamp_ns, beside))
    assert found == [
        (100, [(0, "/cam/camera_info", 100), (30, "/note", 130), (50, "/other/mask", 100)]),
        (200, [(0, "/cam/camera_info", 200), (60, "/other/mask", 100)]),
    ]
    source.close()


def test_the_drive_has_a_label_beside_each_frame():
    source = open_source(str(DRIVE), None, ["/camera/labels/compressed"])
    frames = list(source.frames())
    assert len(frames) == 101
    for frame in frames:
        assert [(delay, m.stamp_ns) for delay, m in frame.companions] == [(0, frame.stamp_ns)]
    source.close()


def test_bad_sources_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="does not exist; expected a bag"):
        open_source(str(tmp_path / "missing"))
    with pytest.raises(DataError, match="does not exist"):
        open_source(str(tmp_path / "missing.mcap"))
    with pytest.raises(DataError, match="has neither images"):
        open_source(str(tmp_path))
    (tmp_path / "film.mp4").write_bytes(os.urandom(1000))
    with pytest.raises(DataError, match="cannot be read as a video"):
        open_source(str(tmp_path / "film.mp4"))
    (tmp_path / "loose.mcap").touch()
    with pytest.raises(DataError, match=r"loose\.mcap"):
        open_source(str(tmp_path))
    with pytest.raises(DataError, match="has no topic /x"):
        open_source(str(DRIVE), "/x")
    with pytest.raises(DataError, match="has no topic /y"):
        open_source(str(DRIVE), None, ["/y"])


@pytest.mark.parametrize("name", ["webcam:63", "/dev/video63"])
def test_a_webcam_that_is_not_there_is_refused_with_those_that_are(name: str):
    with pytest.raises(DataError, match=f"{name}: no /dev/video63; this machine has"):
        open_source(name)


def test_topics_of_what_is_no_bag_are_a_wrong_argument(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), picture(0))
    with pytest.raises(ArgumentError, match="topics of a bag"):
        open_source(str(tmp_path), topic="/camera")
    with pytest.raises(ArgumentError, match="topics of a bag"):
        open_source(str(tmp_path), also=["/labels"])
