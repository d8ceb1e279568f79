"""Message bytes to pixels: same results as OpenCV's conversions, and broken data is refused."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisenet_ros.errors import DataError
from bisenet_ros.inference.image_encodings import (
    ENCODINGS,
    MAX_PIXELS,
    check_raw,
    from_compressed,
    from_raw,
)

RANDOM = np.random.default_rng(3)


def rgb_of(pixels) -> np.ndarray:
    return pixels.image if pixels.order == "rgb" else pixels.image[..., ::-1]


def padded(rows: np.ndarray, extra: int) -> tuple[bytes, int]:
    """Rows of bytes (H, n) with ``extra`` bytes of rubbish after each; data and step."""
    rubbish = RANDOM.integers(0, 256, (rows.shape[0], extra), np.uint8)
    return np.hstack([rows, rubbish]).tobytes(), rows.shape[1] + extra


CONVERSIONS = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "8UC3": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "8UC4": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": (1, cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGRBG2RGB),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUYV),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUYV),
}


@pytest.mark.parametrize("extra", [0, 1, 5])
@pytest.mark.parametrize("encoding", CONVERSIONS)
def test_conversions_equal_opencv(encoding, extra):
    height, width = 14, 22
    channels, code = CONVERSIONS[encoding]
    source = RANDOM.integers(0, 256, (height, width, channels), np.uint8)
    data, step = padded(source.reshape(height, -1), extra)
    expected = source if code is None else cv2.cvtColor(source, code)
    assert np.array_equal(rgb_of(from_raw(data, encoding, height, width, step)), expected)


@pytest.mark.parametrize("extra", [0, 2])
@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
def test_planar_yuv_equals_opencv(encoding, extra):
    height, width = 14, 22
    planes = RANDOM.integers(0, 256, (height * 3 // 2, width), np.uint8)
    data, step = padded(planes, extra)
    expected = cv2.cvtColor(planes, getattr(cv2, f"COLOR_YUV2RGB_{encoding.upper()}"))
    assert np.array_equal(rgb_of(from_raw(data, encoding, height, width, step)), expected)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("extra", [0, 3])
def test_sixteen_bit_grey_keeps_its_high_byte(big_endian, extra):
    values = np.array([[0, 128, 257, 32768, 65535]] * 3, np.uint16)
    rows = values.astype(">u2" if big_endian else "<u2").view(np.uint8)
    data, step = padded(rows, extra)
    found = rgb_of(from_raw(data, "mono16", 3, 5, step, big_endian))
    assert np.array_equal(found[..., 0], np.rint(values * (255 / 65535)).astype(np.uint8))
    assert np.array_equal(found[..., 0], found[..., 2])


def test_every_encoding_of_the_contract_is_tested():
    assert set(ENCODINGS) == set(CONVERSIONS) | {"mono16", "nv12", "nv21"}


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "8UC3"])
@pytest.mark.parametrize("extra", [0, 6])
def test_three_channels_are_viewed_not_copied(encoding, extra):
    data = bytearray((12 + extra) * 5)
    image = from_raw(data, encoding, 5, 4, 12 + extra).image
    assert np.shares_memory(image, np.frombuffer(data, np.uint8))
    assert image.shape == (5, 4, 3)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (1, 7), (2, 5), (3, 3)])
def test_tiny_images_of_every_encoding(encoding, size):
    height, width = size
    known = ENCODINGS[encoding]
    step = width * known.bytes_per_pixel
    data = bytes(step * height * 2)
    odd = (known.even and width % 2) or (known.even == "both" and height % 2)
    if odd:
        with pytest.raises(DataError, match="odd"):
            from_raw(data, encoding, height, width, step)
    else:
        image, _ = from_raw(data, encoding, height, width, step)
        assert image.shape == (height, width, 3) and image.dtype == np.uint8


@settings(max_examples=2000, deadline=None)
@given(
    encoding=st.one_of(st.sampled_from(list(ENCODINGS)), st.text(max_size=12)),
    height=st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)),
    width=st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)),
    step=st.one_of(st.integers(0, 200), st.integers(0, 2**32 - 1)),
    length=st.integers(0, 5000),
    big_endian=st.booleans(),
)
def test_any_header_gives_an_image_or_an_error(encoding, height, width, step, length, big_endian):
    try:
        image, order = from_raw(bytes(length), encoding, height, width, step, big_endian)
    except DataError as error:
        assert str(error) and "\n" not in str(error)
        return
    assert image.shape == (height, width, 3) and order in ("rgb", "bgr")
    assert step * height <= length


def test_a_message_that_claims_ten_gigapixels_is_refused_unallocated():
    with pytest.raises(DataError, match=str(MAX_PIXELS)):
        check_raw("rgb8", 100_000, 100_000, 300_000, 10)


def encoded(kind: str, height: int = 30, width: int = 40) -> bytes:
    image = cv2.resize(RANDOM.integers(0, 256, (4, 5, 3), np.uint8), (width, height))
    return cv2.imencode(kind, image)[1].tobytes()


@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_compressed_images_decode_as_opencv_does(kind):
    data = encoded(kind)
    image, order = from_compressed(data)
    assert order == "bgr"
    assert np.array_equal(image, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def test_grey_and_progressive_jpegs_are_read_too():
    grey = cv2.imencode(".jpg", np.full((9, 7), 80, np.uint8))[1].tobytes()
    assert from_compressed(grey).image.shape == (9, 7, 3)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    progressive = cv2.imencode(".jpg", np.full((9, 7, 3), 80, np.uint8), options)[1].tobytes()
    assert from_compressed(progressive).image.shape == (9, 7, 3)


@pytest.mark.parametrize("kind", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.95])
def test_compressed_images_cut_short_are_refused(kind, share):
    data = encoded(kind, 200, 300)
    with pytest.raises(DataError):
        from_compressed(data[: int(len(data) * share)])


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"GIF89a", b"\x89PNG\r\n\x1a\n", bytes(100)])
def test_other_bytes_are_refused(data):
    with pytest.raises(DataError):
        from_compressed(data)


@settings(max_examples=300, deadline=None)
@given(
    start=st.sampled_from([b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b""]), rest=st.binary(max_size=200)
)
def test_random_bytes_are_refused_or_decoded(start, rest):
    try:
        from_compressed(start + rest)
    except DataError as error:
        assert str(error)


def test_a_decompression_bomb_is_refused_by_its_header():
    data = bytearray(encoded(".png"))
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    with pytest.raises(DataError, match="100000×100000"):
        from_compressed(bytes(data))
    jpeg = bytearray(encoded(".jpg"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(DataError, match="65535×65535"):
        from_compressed(bytes(jpeg))
