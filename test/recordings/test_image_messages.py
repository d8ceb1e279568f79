"""Images and labels of every encoding, serialised as ROS 1 and ROS 2 do."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from bag_formats import COMPRESSED, IMAGE, STORE, Note, broken, compressed, header, raw
from hypothesis import given
from hypothesis import strategies as st

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.image_messages import BrokenMessage, ImageMessage, readable
from bisenet_ros.recordings.storage import Channel, StoredMessage

STAMP = 1_700_000_000_123_456_789
RANDOM = np.random.default_rng(0)
COLOURS = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
IDS = RANDOM.integers(0, 200, (5, 7))


def message(note: Note, encoding: str = "cdr", log: int = 5) -> ImageMessage:
    data = note.ros1() if encoding == "ros1" else note.ros2()
    return ImageMessage.of(StoredMessage(Channel(note.topic, note.type, encoding, 1), log, data))


@pytest.mark.parametrize("encoding", ["cdr", "ros1"])
@pytest.mark.parametrize(("name", "order"), [("rgb8", "rgb"), ("bgr8", "bgr"), ("8UC3", "bgr")])
def test_raw_images_come_back(encoding: str, name: str, order: str):
    found = message(raw("/a", STAMP, COLOURS, name, padding=3), encoding)
    assert found.stamp_ns == STAMP
    image, found_order = found.pixels()
    assert found_order == order
    assert np.array_equal(image, COLOURS)


@pytest.mark.parametrize("encoding", ["cdr", "ros1"])
def test_compressed_images_come_back(encoding: str):
    found = message(compressed("/a", STAMP, COLOURS), encoding)
    assert found.stamp_ns == STAMP
    image, order = found.pixels()
    assert order == "bgr"
    assert np.array_equal(image, COLOURS)


def test_big_endian_messages_are_read():
    fields = raw("/a", STAMP, COLOURS, "rgb8").fields
    data = bytes(STORE.serialize_cdr(STORE.types[IMAGE](**fields), IMAGE, little_endian=False))
    found = ImageMessage.of(StoredMessage(Channel("/a", IMAGE, "cdr", 1), 5, data))
    assert found.stamp_ns == STAMP
    assert np.array_equal(found.pixels().image, COLOURS)


def test_a_zero_stamp_is_replaced_by_the_log_time():
    assert message(raw("/a", 0, COLOURS, "rgb8"), log=77).stamp_ns == 77
    assert message(raw("/a", 0, COLOURS, "rgb8"), "ros1", log=77).stamp_ns == 77


LABELS: list[tuple[str, Any, bool]] = [
    ("mono8", np.uint8, False),
    ("8UC1", np.uint8, False),
    ("mono16", np.uint16, False),
    ("16UC1", np.uint16, True),
    ("32SC1", np.int32, False),
]


@pytest.mark.parametrize(("name", "dtype", "big"), LABELS)
@pytest.mark.parametrize("encoding", ["cdr", "ros1"])
def test_raw_labels_keep_their_ids(name: str, dtype: Any, big: bool, encoding: str):
    ids = IDS.astype(dtype)
    note = raw("/l", STAMP, ids, name, padding=4, big_endian=big)
    found = message(note, encoding).label()
    assert (found.dtype, found.tolist()) == (dtype, ids.tolist())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_labels_keep_their_ids(dtype: Any):
    ids = IDS.astype(dtype)
    found = message(compressed("/l", STAMP, ids)).label()
    assert (found.dtype, found.tolist()) == (dtype, ids.tolist())


def test_coloured_labels_are_rgb_however_they_are_stored():
    for note in (
        raw("/l", STAMP, COLOURS, "rgb8"),
        raw("/l", STAMP, COLOURS[..., ::-1], "bgr8"),
        raw("/l", STAMP, np.dstack([COLOURS, COLOURS[..., 0]]), "rgba8"),
        compressed("/l", STAMP, COLOURS[..., ::-1]),
        compressed("/l", STAMP, np.dstack([COLOURS[..., ::-1], COLOURS[..., 0]])),
    ):
        assert np.array_equal(message(note).label(), COLOURS)


def test_labels_in_a_jpeg_are_refused_for_good():
    with pytest.raises(DataError, match="JPEG, which changes ids") as error:
        message(compressed("/l", STAMP, COLOURS, ".jpg")).label()
    assert not isinstance(error.value, BrokenMessage)


def cut(note: Note, length: int) -> Note:
    return note._replace(cdr=note.ros2()[:length])


@pytest.mark.parametrize(
    "note", [raw("/a", STAMP, COLOURS, "rgb8"), compressed("/a", STAMP, COLOURS)]
)
def test_a_message_cut_anywhere_is_broken_and_never_a_crash(note: Note):
    for length in range(0, len(note.ros2()), 3):
        for use in (ImageMessage.pixels, ImageMessage.label):
            with pytest.raises(BrokenMessage):
                use(message(cut(note, length)))


@given(
    st.binary(max_size=120), st.sampled_from(["cdr", "ros1"]), st.sampled_from([IMAGE, COMPRESSED])
)
def test_random_bytes_are_broken_messages(data: bytes, encoding: str, kind: str):
    stored = StoredMessage(Channel("/a", kind, encoding, 1), 5, b"\x00\x01\x00\x00" + data)
    for use in (ImageMessage.pixels, ImageMessage.label):
        with pytest.raises(BrokenMessage) as error:
            use(ImageMessage.of(stored))
        assert "\n" not in str(error.value)


def test_numbers_that_do_not_fit_together_are_broken():
    wrong = raw("/a", STAMP, COLOURS, "rgb8")
    wrong.fields.update(width=1000)
    label = raw("/l", STAMP, IDS.astype(np.uint16), "mono16")
    label.fields.update(step=7)
    with pytest.raises(BrokenMessage, match="step 21 is too small"):
        message(wrong).pixels()
    with pytest.raises(BrokenMessage, match="step 7"):
        message(label).label()
    with pytest.raises(BrokenMessage, match="not supported"):
        message(raw("/a", STAMP, COLOURS, "rainbow")).pixels()
    for note in (broken("/a", 5), broken("/a", 5, COMPRESSED)):
        with pytest.raises(BrokenMessage):
            message(note).pixels()
    with pytest.raises(BrokenMessage, match="cannot be decoded"):
        png = bytearray(cv2.imencode(".png", COLOURS)[1].tobytes())
        png[30:60] = bytes(30)
        fields = {"header": header(5), "format": "png", "data": np.frombuffer(bytes(png), np.uint8)}
        message(Note("/a", COMPRESSED, 5, fields)).pixels()


def test_only_images_that_can_be_read_are_readable():
    assert readable(IMAGE, "cdr")
    assert readable(COMPRESSED, "ros1")
    assert not readable(IMAGE, "protobuf")
    assert not readable("std_msgs/msg/String", "cdr")
