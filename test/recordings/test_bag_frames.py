"""Frames and labels of bags: the same pixels from every format, and every oddity counted."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_formats import (
    COMPRESSED,
    Note,
    broken,
    compressed,
    raw,
    write_mcap,
    write_ros1,
    write_rosbag2,
)
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.recordings.bag_frames import BagFrames, BagOptions
from bisenet_ros.recordings.frame_stream import (
    RecordedFrame,
    Selection,
    nothing_to_read,
    read_chosen,
    read_frames,
)
from bisenet_ros.recordings.label_decoding import LabelCoding
from bisenet_ros.recordings.labelled_bag import Drive

DRIVE = Path(__file__).parents[1] / "data" / "camvid_drive"
START = 1_700_000_000 * 10**9
PERIOD = 10**9 // 15
CODING = LabelCoding(3)
LABELLED = BagOptions(coding=CODING)


def image(index: int, height: int = 10, width: int = 14) -> np.ndarray:
    random = np.random.default_rng(index)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def ids(index: int, height: int = 10, width: int = 14) -> np.ndarray:
    random = np.random.default_rng(100 + index)
    return random.choice([0, 1, 2, 255], (height, width)).astype(np.uint8)


def labelled_notes(count: int = 6) -> list[Note]:
    """Lossless frames and labels of equal stamps; the label comes a little later."""
    notes = []
    for index in range(count):
        stamp = START + index * PERIOD
        notes.append(raw("/cam", stamp, image(index), "bgr8"))
        notes.append(raw("/labels", stamp, ids(index), "mono8", log=stamp + 1000))
    return notes


def read(
    path: Path, options: BagOptions = LABELLED, selection: Selection | None = None
) -> tuple[list[RecordedFrame], BagFrames]:
    source = BagFrames(path, options)
    with closing(read_frames(source, selection)) as frames:
        found = list(frames)
    source.close()
    return found, source


def check(frames: list[RecordedFrame], count: int = 6) -> None:
    assert [frame.index for frame in frames] == list(range(count))
    for index, frame in enumerate(frames):
        assert frame.stamp_ns == START + index * PERIOD
        bgr = frame.image if frame.order == "bgr" else frame.image[..., ::-1]
        assert np.array_equal(bgr, image(index))
        assert np.array_equal(frame.truth, ids(index))
        assert frame.decode_ms > 0
        assert (frame.log_ns, frame.frame_id) == (frame.stamp_ns, "camera")


@pytest.mark.parametrize("storage", list(StoragePlugin))
@pytest.mark.parametrize(
    "mode", [CompressionMode.NONE, CompressionMode.FILE, CompressionMode.MESSAGE]
)
def test_rosbag2_in_every_form_gives_the_same_pixels(
    tmp_path: Path, storage: StoragePlugin, mode: CompressionMode
):
    path = write_rosbag2(tmp_path / "bag", labelled_notes(), storage, mode)
    frames, source = read(path)
    check(frames)
    assert source.notes.figures() == {
        "counts": {"images_with_label": 6, "images_without_label": 0, "labels_without_image": 0},
        "reasons": {},
        "warnings": [],
    }


def test_ros1_and_plain_mcap_give_the_same_pixels(tmp_path: Path):
    check(read(write_ros1(tmp_path / "a.bag", labelled_notes()))[0])
    check(read(write_mcap(tmp_path / "a.mcap", labelled_notes()))[0])


@pytest.mark.parametrize(
    "form", ["png", "mono16", "16 bit png", "32SC1", "colours", "coloured png"]
)
def test_labels_of_every_form_are_the_same_classes(tmp_path: Path, form: str):
    palette = np.zeros((256, 3), np.uint8)
    palette[[0, 1, 2]] = [(10, 20, 30), (200, 0, 0), (0, 0, 250)]
    colours = {tuple(map(int, palette[i])): i for i in (0, 1, 2, 255)}
    notes = []
    for index in range(6):
        stamp, truth = START + index * PERIOD, ids(index)
        wide = np.where(truth == 255, 65535, truth).astype(np.uint16)
        notes.append(compressed("/cam/image_raw/compressed", stamp, image(index)))
        notes.append(
            {
                "png": compressed("/gt/compressed", stamp, truth),
                "mono16": raw("/gt", stamp, wide, "mono16"),
                "16 bit png": compressed("/gt/compressed", stamp, wide),
                "32SC1": raw("/gt", stamp, truth.astype(np.int32), "32SC1"),
                "colours": raw("/gt", stamp, palette[truth], "rgb8"),
                "coloured png": compressed("/gt/compressed", stamp, palette[truth][..., ::-1]),
            }[form]
        )
    coding = LabelCoding(3, colours=colours) if "colour" in form else CODING
    check(read(write_mcap(tmp_path / "a.mcap", notes), BagOptions(coding=coding))[0])


def test_the_sample_drive_is_read_as_the_demo_reads_it():
    frames, source = read(DRIVE, BagOptions(coding=LabelCoding(11)), Selection(limit=20))
    drive = Drive.open(DRIVE, "/camera/image_raw/compressed", "/camera/labels/compressed")
    expected = drive.read(range(20))
    assert len(frames) == 20
    for index, frame in enumerate(frames):
        rgb, truth = expected[index]
        assert frame.order == "bgr"
        assert np.array_equal(frame.image[..., ::-1], rgb)
        assert np.array_equal(frame.truth, truth)
    facts = source.facts()
    assert facts["image_topic"] == "/camera/image_raw/compressed"
    assert facts["label_topic"] == "/camera/labels/compressed"
    assert (facts["messages"], source.expected) == (101, 101)
    assert facts["rate_hz"] == pytest.approx(15)


def test_corrupt_messages_are_counted_and_left_out(tmp_path: Path):
    notes = labelled_notes()
    notes.insert(2, broken("/cam", START + 10, length=200))
    notes.insert(5, broken("/labels", START + PERIOD + 2000, length=3))
    jpeg = cv2.imencode(".jpg", image(0))[1].reshape(-1)
    cut_short = compressed("/cam", START, image(0)).fields | {"data": jpeg[:50]}
    other = [Note("/rear/compressed", COMPRESSED, START, cut_short)]
    frames, source = read(write_mcap(tmp_path / "a.mcap", notes))
    check(frames)
    assert source.notes.counts["broken_images"] == 1
    assert source.notes.counts["broken_labels"] == 1
    assert source.notes.counts["images_with_label"] == 6
    frames, source = read(write_mcap(tmp_path / "b.mcap", other))
    assert frames == []
    said = str(nothing_to_read(source))
    assert "none of 1 images can be decoded (JPEG of 50 bytes" in said


def test_a_broken_label_leaves_its_frame_without_truth(tmp_path: Path):
    notes = labelled_notes(3)
    notes[3].fields.update(step=2)
    frames, source = read(write_mcap(tmp_path / "a.mcap", notes))
    assert [frame.truth is None for frame in frames] == [False, True, False]
    assert source.notes.counts["broken_labels"] == 1
    assert "step 2" in next(iter(source.notes.reasons))


def test_labels_of_another_size_are_brought_to_the_image_s_with_one_warning(tmp_path: Path):
    notes = []
    for index in range(4):
        notes.append(raw("/cam", START + index * PERIOD, image(index, 20, 28), "bgr8"))
        notes.append(raw("/labels", START + index * PERIOD, ids(index), "mono8"))
    frames, source = read(write_mcap(tmp_path / "a.mcap", notes))
    for index, frame in enumerate(frames):
        assert np.array_equal(frame.truth, ids(index).repeat(2, 0).repeat(2, 1))
    assert source.notes.counts["resized_labels"] == 4
    (warning,) = source.notes.warnings
    assert "labels are 14×10 but images are 28×20" in warning


def test_an_id_outside_the_classes_is_an_error_with_stamp_and_id(tmp_path: Path):
    notes = labelled_notes()
    notes[7] = raw("/labels", START + 3 * PERIOD, np.full((10, 14), 7, np.uint8), "mono8")
    source = BagFrames(write_mcap(tmp_path / "a.mcap", notes), LABELLED)
    frames = read_frames(source)
    assert [next(frames).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match=f"/labels with stamp {START + 3 * PERIOD} ns holds id 7"):
        next(frames)


def test_labels_near_in_time_are_taken_if_allowed(tmp_path: Path):
    notes = []
    for index in range(6):
        stamp = START + index * PERIOD
        notes.append(raw("/cam", stamp, image(index), "bgr8"))
        notes.append(raw("/labels", stamp + 3_000_000, ids(index), "mono8"))
    path = write_mcap(tmp_path / "a.mcap", notes)
    frames, source = read(path)
    assert all(frame.truth is None for frame in frames)
    (warning,) = source.notes.warnings
    assert "the nearest is 0.0030 s away: pass --max-dt" in warning
    frames, source = read(path, BagOptions(coding=CODING, max_dt_s=0.005))
    check(frames)
    assert source.notes.warnings == []


def test_labels_recorded_after_all_images_are_still_paired(tmp_path: Path):
    notes = labelled_notes(30)
    images = [note for note in notes if note.topic == "/cam"]
    labels = [note._replace(log_ns=note.log_ns + 10**12) for note in notes if note not in images]
    frames, _ = read(write_mcap(tmp_path / "a.mcap", images + labels))
    check(frames, 30)


def test_stamps_that_repeat_or_go_back_are_counted_and_read(tmp_path: Path):
    stamps = [0, 1, 1, 2, 0, 1]
    notes = [
        raw("/cam", START + s * PERIOD, image(i), "bgr8", log=START + i * PERIOD)
        for i, s in enumerate(stamps)
    ]
    frames, source = read(write_mcap(tmp_path / "a.mcap", notes))
    assert [(f.stamp_ns - START) // PERIOD for f in frames] == stamps
    assert source.notes.counts["repeated_stamps"] == 1
    assert source.notes.counts["stamps_back"] == 1
    assert len(source.notes.warnings) == 2


def test_a_bag_without_labels_has_no_truth(tmp_path: Path):
    path = write_mcap(tmp_path / "a.mcap", [raw("/cam", START, image(0), "bgr8")])
    frames, source = read(path)
    assert frames[0].truth is None
    assert source.labels is None
    assert source.facts()["label_topic"] is None
    named = write_mcap(tmp_path / "b.mcap", labelled_notes())
    for options in (BagOptions(), BagOptions(coding=CODING, label_topic="")):
        frames, source = read(named, options)
        assert all(frame.truth is None for frame in frames)


def test_damage_is_a_warning(tmp_path: Path):
    whole = write_mcap(tmp_path / "a.mcap", labelled_notes(40)).read_bytes()
    path = tmp_path / "b.mcap"
    path.write_bytes(whole[: len(whole) // 2])
    frames, source = read(path)
    assert 0 < len(frames) < 40
    check(frames[:-1], len(frames) - 1)  # the last one's label may be cut off
    assert "b.mcap is damaged: the file ends early" in source.notes.warnings[0]
    assert source.facts()["loss"]["lost_bytes"] > 0


def test_parts_of_a_recording(tmp_path: Path):
    path = write_mcap(tmp_path / "a.mcap", labelled_notes(45))

    def part(**selection) -> list[int]:
        return [frame.index for frame in read(path, LABELLED, Selection(**selection))[0]]

    assert part(every=10) == [0, 10, 20, 30, 40]
    assert part(start_s=0.999, duration_s=0.3) == [15, 16, 17, 18, 19]
    assert part(start_s=1.999, every=7) == [30, 37, 44]
    assert part(limit=3) == [0, 1, 2]
    assert part(start_s=100) == []
    source = BagFrames(path, LABELLED)
    for selection, about in (
        (Selection(), 45),
        (Selection(every=10), 5),
        (Selection(limit=3), 3),
        (Selection(start_s=1.0, duration_s=1.0), 15),
        (Selection(start_s=100), 0),
    ):
        assert selection.expected(source) == pytest.approx(about, abs=1)


def test_single_frames_are_read_again_by_their_index(tmp_path: Path):
    source = BagFrames(write_mcap(tmp_path / "a.mcap", labelled_notes(20)), LABELLED)
    found = {frame.index: frame for frame in read_chosen(source, {3, 17, 4})}
    assert list(found) == [3, 4, 17]
    for index, frame in found.items():
        assert np.array_equal(frame.image, image(index))
        assert np.array_equal(frame.truth, ids(index))
    assert list(read_chosen(source, [])) == []
    assert [frame.index for frame in read_chosen(source, [19, 50])] == [19]


@pytest.mark.parametrize(
    "wrong",
    [{"every": 0}, {"start_s": -1}, {"duration_s": -0.1}, {"limit": 0}, {"start_s": float("nan")}],
)
def test_senseless_parts_are_refused(wrong: dict):
    with pytest.raises(ArgumentError, match="expected at least"):
        Selection(**wrong)


def test_a_senseless_distance_is_refused():
    with pytest.raises(ArgumentError, match="--max-dt"):
        BagOptions(max_dt_s=-1)
