"""Images, folders, globs and videos through the same door as bags."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from bag_formats import raw, write_mcap

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.recordings.bag_frames import BagFrames, BagOptions
from bisenet_ros.recordings.frame_stream import RecordedFrame, Selection, read_frames
from bisenet_ros.recordings.media_frames import (
    ImageFrames,
    VideoFrames,
    _video_pixels,
    open_frames,
)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (10, 14, 3), dtype=np.uint8)


def write_images(folder: Path, *names: str) -> None:
    for index, name in enumerate(names):
        cv2.imwrite(str(folder / name), picture(index))


def write_video(path: Path, frames: int, rate: int = 10, codec: str = "ffv1") -> Path:
    """A video without loss whose frame i is of grey level 10 + 8 i."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for index in range(frames):
            grey = np.full((48, 64, 3), (10 + 8 * index) % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def read(name: str | Path, selection: Selection | None = None) -> list[RecordedFrame]:
    source = open_frames(name)
    with closing(read_frames(source, selection)) as frames:
        found = list(frames)
    source.close()
    return found


def test_a_folder_is_read_in_natural_order(tmp_path: Path):
    write_images(tmp_path, "f10.png", "f2.png", "f1.PNG")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "sub.png").mkdir()
    source = open_frames(tmp_path)
    assert isinstance(source, ImageFrames)
    assert not source.timed
    assert source.expected == 3
    frames = read(tmp_path)
    assert [frame.name for frame in frames] == ["f1.PNG", "f2.png", "f10.png"]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert np.array_equal(frames[2].image, picture(0))
    assert frames[0].order == "bgr"
    assert frames[1].stamp_ns == pytest.approx(1e9 / 15, abs=1)


def test_an_image_and_a_glob_are_read(tmp_path: Path):
    write_images(tmp_path, "a1.png", "a10.png", "a2.png", "b.png")
    assert [frame.name for frame in read(tmp_path / "b.png")] == ["b.png"]
    names = [frame.name for frame in read(str(tmp_path / "a*.png"))]
    assert names == ["a1.png", "a2.png", "a10.png"]
    sub = tmp_path / "deep" / "er"
    sub.mkdir(parents=True)
    write_images(sub, "c.jpg")
    assert [frame.name for frame in read(str(tmp_path / "**" / "*.jpg"))] == ["c.jpg"]


def test_a_broken_image_is_counted_and_left_out(tmp_path: Path):
    write_images(tmp_path, "a.png", "c.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    (tmp_path / "d.png").touch()
    source = open_frames(tmp_path)
    assert [frame.index for frame in read_frames(source)] == [0, 2]
    assert source.notes.counts["broken_images"] == 2
    assert "b.png cannot be decoded" in str(list(source.notes.reasons))


def test_a_video_is_read_at_its_own_times(tmp_path: Path):
    path = write_video(tmp_path / "a.mkv", 12)
    source = open_frames(path)
    assert isinstance(source, VideoFrames)
    assert source.timed
    assert source.expected == pytest.approx(12, abs=1)
    assert source.seconds == pytest.approx(1.2, abs=0.11)
    frames = read(path)
    assert [int(frame.image[20, 30, 0]) for frame in frames] == [10 + 8 * i for i in range(12)]
    assert [frame.stamp_ns for frame in frames] == [i * 10**8 for i in range(12)]
    assert frames[0].order == "bgr"
    some = read(path, Selection(every=5, start_s=0.2))
    assert [frame.index for frame in some] == [2, 7]


def test_a_cut_video_is_read_as_far_as_it_goes(tmp_path: Path):
    content = write_video(tmp_path / "a.mkv", 40).read_bytes()
    path = tmp_path / "b.mkv"
    path.write_bytes(content[: len(content) * 2 // 3])
    source = open_frames(path)
    frames = list(read_frames(source))
    assert 10 < len(frames) < 40
    levels = [int(frame.image[20, 30, 0]) for frame in frames]
    assert levels == [(10 + 8 * i) % 256 for i in range(len(frames))]


def test_videos_of_phones_are_turned_upright():
    class Turned:
        rotation = -90  # clockwise by a quarter

        def to_ndarray(self, format: str) -> np.ndarray:
            assert format == "bgr24"
            return np.arange(6, dtype=np.uint8).reshape(1, 2, 3)

    image, order = _video_pixels(Turned())
    assert image.shape == (2, 1, 3)
    assert image[0, 0].tolist() == [0, 1, 2]  # what was left is on top
    assert order == "bgr"


def test_a_bag_is_opened_as_one(tmp_path: Path):
    path = write_mcap(tmp_path / "a.mcap", [raw("/cam", 5, picture(0), "bgr8")])
    for name in (path, str(path)):
        assert isinstance(open_frames(name), BagFrames)
    assert np.array_equal(read(path)[0].image, picture(0))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "does not exist"),
        ("missing.mcap", "does not exist; expected an image"),
        ("missing*.png", "does not exist"),
        ("notes.txt", "cannot be read as a video"),
        ("empty", "neither images nor a bag"),
        ("*.txt", "matches 1 files, none of which is an image"),
        ("webcam:93", "no /dev/video93"),
        ("sound.wav", "video"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path, name: str, said: str):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "sound.wav").write_bytes(b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0@\x1f\0\0@\x1f\0\0")
    with pytest.raises(DataError, match=said.replace("*", r"\*")) as error:
        open_frames(name if name.startswith("webcam") else str(tmp_path / name))
    assert "\n" not in str(error.value)


def test_topics_of_what_is_not_a_bag_are_refused(tmp_path: Path):
    write_images(tmp_path, "a.png")
    with pytest.raises(ArgumentError, match="is not one"):
        open_frames(tmp_path, BagOptions(image_topic="/cam"))
