import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisenet_ros.errors import DataError
from bisenet_ros.projection.depth_images import decode_compressed, decode_raw, encode_compressed

MILLIMETRES = np.array([[0, 1, 255], [256, 4000, 65535]], np.uint16)
METRES = np.array([[0.0, 0.5, np.nan], [np.inf, 3.25, 8.0]], np.float32)


@given(
    image=st.sampled_from([MILLIMETRES, METRES]),
    padding=st.integers(0, 9),
    tail=st.integers(0, 5),
    big_endian=st.booleans(),
)
def test_raw_depth_of_any_layout(image: np.ndarray, padding: int, tail: int, big_endian: bool):
    encoding = "16UC1" if image.dtype == np.uint16 else "32FC1"
    stored = image.astype(image.dtype.newbyteorder(">" if big_endian else "<"))
    data = b"".join(row.tobytes() + b"\xee" * padding for row in stored) + b"\xee" * tail
    step = 3 * image.itemsize + padding
    depth = decode_raw(encoding, 2, 3, step, data, big_endian)
    assert depth.dtype == image.dtype and depth.dtype.isnative
    assert np.array_equal(depth, image, equal_nan=image.dtype == np.float32)


def test_rows_without_padding_are_not_copied():
    assert np.shares_memory(decode_raw("16UC1", 2, 3, 6, MILLIMETRES.data.cast("B")), MILLIMETRES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rgb8", 2, 3, 6, bytes(12)), "depth image is 'rgb8'; expected 16UC1"),
        (("16UC1", 2, 3, 6, bytes(11)), "has 11 bytes, 6 a row; expected at least 2 rows of 6"),
        (("16UC1", 2, 3, 5, bytes(12)), "5 a row"),
        (("32FC1", 2, 3, 6, bytes(12)), "expected at least 2 rows of 12"),
        (("16UC1", 0, 3, 6, b""), "3×0 pixels"),
        (("16UC1", 2, 0, 0, b""), "0×2 pixels"),
    ],
)
def test_broken_raw_depth_is_refused(arguments: tuple, message: str):
    with pytest.raises(DataError, match=message):
        decode_raw(*arguments)


@pytest.mark.parametrize("form", ["16UC1; compressedDepth png", "16UC1; compressedDepth", "16UC1"])
def test_compressed_millimetres_come_back(form: str):
    assert np.array_equal(decode_compressed(form, encode_compressed(MILLIMETRES)), MILLIMETRES)


def test_compressed_metres_are_inverse_depths():
    """As compressed_depth_image_transport quantises with its defaults: 100 and 10 m."""
    a = np.float32(100 * 101)
    b = np.float32(1) - a / np.float32(10)
    depth = np.array([[0.5, 1.0, 2.5], [5.0, 9.9, 0.0]], np.float32)
    with np.errstate(divide="ignore"):
        stored = np.where(depth > 0, a / depth + b, 0).astype(np.uint16)
    png = cv2.imencode(".png", stored)[1].tobytes()
    data = struct.pack("<iff", 0, a, b) + png
    found = decode_compressed("32FC1; compressedDepth png", data)
    assert found.dtype == np.float32 and np.isnan(found[1, 2])
    assert np.allclose(found.reshape(-1)[:5], depth.reshape(-1)[:5], rtol=0.01)


def lying() -> bytes:
    data = bytearray(encode_compressed(MILLIMETRES))
    data[12 + 16 : 12 + 24] = struct.pack(">II", 1 << 20, 1 << 20)
    return bytes(data)


@pytest.mark.parametrize(
    ("form", "data", "message"),
    [
        ("16UC1; compressedDepth rvl", b"", "format is '16UC1; compressedDepth rvl'; expected"),
        ("bgr8; jpeg compressed bgr8", b"", "expected 16UC1 or 32FC1"),
        ("", b"", "format is ''"),
        ("16UC1; compressedDepth png", b"", "of 0 bytes holds no PNG"),
        ("16UC1; compressedDepth png", bytes(50), "of 50 bytes holds no PNG"),
        ("16UC1; compressedDepth png", encode_compressed(MILLIMETRES)[:40], "cannot be decoded"),
        ("16UC1; compressedDepth png", lying(), "1048576×1048576 pixels; refused"),
        (
            "16UC1; compressedDepth png",
            encode_compressed(MILLIMETRES.astype(np.uint8)),
            "cannot be decoded as a PNG of 16 bits",
        ),
    ],
)
def test_broken_compressed_depth_is_refused(form: str, data: bytes, message: str):
    with pytest.raises(DataError, match=message):
        decode_compressed(form, data)
