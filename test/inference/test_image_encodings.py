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
    check_compressed,
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
    values = np.array([[0, 128, 257, 32768, 65407, 65535]] * 3, np.uint16)
    rows = values.astype(">u2" if big_endian else "<u2").view(np.uint8)
    data, step = padded(rows, extra)
    order = {"big_endian": True} if big_endian else {}  # as the messages' own default
    found = rgb_of(from_raw(data, "mono16", 3, 6, step, **order))
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


PATTERNS = {"rggb": [[0, 1], [1, 2]], "bggr": [[2, 1], [1, 0]]}
PATTERNS |= {"gbrg": [[1, 2], [0, 1]], "grbg": [[1, 0], [2, 1]]}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", [(2, 2), (2, 3), (3, 2), (2, 7), (6, 2), (3, 8), (9, 3)])
def test_a_plain_colour_keeps_it_under_a_bayer_pattern_of_any_size(pattern, size):
    height, width = size
    colour = np.array([200, 100, 40], np.uint8)
    mosaic = colour[np.tile(PATTERNS[pattern], (5, 4))[:height, :width]]
    image, order = from_raw(mosaic.tobytes(), f"bayer_{pattern}8", height, width, width)
    assert order == "rgb" and np.array_equal(image, np.broadcast_to(colour, (*size, 3)))


@pytest.mark.parametrize("size", [(3, 8), (8, 3), (3, 3)])
def test_opencv_itself_converts_bayer_images_from_three_rows_and_columns_on(size):
    mosaic = RANDOM.integers(0, 256, size, np.uint8)
    found, _ = from_raw(mosaic.tobytes(), "bayer_rggb8", *size, size[1])
    assert np.array_equal(found, cv2.cvtColor(mosaic, cv2.COLOR_BayerRGGB2RGB))


def raw_refusal(*arguments) -> str:
    with pytest.raises(DataError) as caught:
        check_raw(*arguments)
    return str(caught.value)


def test_what_is_wrong_with_a_raw_image_is_said_with_what_was_expected():
    long = "x" * 50
    names = ", ".join(ENCODINGS)
    for arguments, message in (
        ((long, 2, 2, 6, 12), f"encoding {long[:40]!r} is not supported; expected one of {names}"),
        (("rgb8", 0, 4, 12, 0), "image size 4×0 is empty"),
        (("rgb8", 4, 0, 0, 0), "image size 0×4 is empty"),
        (("rgb8", 4, 5, 5, 99), "step 5 is too small for 5 pixels of rgb8; expected at least 15"),
        (
            ("rgb8", 4, 5, 16, 63),
            "data has 63 bytes; expected at least 64 for 4 rows with a step of 16",
        ),
        (
            ("nv12", 4, 6, 6, 35),
            "data has 35 bytes; expected at least 36 for 4 rows with a step of 6",
        ),
        (("yuyv", 3, 5, 10, 30), "image size 5×3 is odd; yuyv needs an even size"),
        (
            ("mono8", 8193, 8192, 8192, 8193 * 8192),
            f"image size 8192×8193 exceeds the limit of {MAX_PIXELS} pixels",
        ),
    ):
        assert raw_refusal(*arguments) == message


@pytest.mark.parametrize(
    "arguments",
    [
        ("rgb8", 4, 5, 15, 60),
        ("rgb8", 3, 5, 16, 48),
        ("nv12", 4, 6, 6, 36),
        ("yuyv", 3, 6, 12, 36),
        ("mono8", 8192, 8192, 8192, 8192 * 8192),
    ],
)
def test_an_image_at_its_limits_is_accepted(arguments):
    check_raw(*arguments)


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


def jpeg(*segments: bytes, frame: int = 0xC0, height: int = 30, width: int = 40) -> bytes:
    """Only what a JPEG's size is read from: start, segments, a frame header, the end."""
    sides = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    header = bytes([0xFF, frame]) + b"\x00\x0b\x08" + sides + b"\x01\x01\x11\x00"
    return b"\xff\xd8" + b"".join(segments) + header + b"\xff\xd9"


def png(height: int, width: int) -> bytes:
    sides = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + sides + b"\x08\x02\0\0\0crc." + b"\0\0\0\0IEND"
    )


def refusal(data: bytes) -> str:
    with pytest.raises(DataError) as caught:
        check_compressed(data)
    return str(caught.value)


# A segment of 300 bytes, which needs both bytes of its length, holds what looks like a frame.
LONG = b"\xff\xe1\x01\x2c" + (b"\xff\xc0\x00\x0b\x08" + b"\xff" * 4) * 33 + b"\0"
SHORT = b"\xff\xe0\x00\x04ab"
FRAMES = [code for code in range(0xC0, 0xD0) if code not in (0xC4, 0xC8, 0xCC)]


@pytest.mark.parametrize("kind", [".jpg", ".png"])
@pytest.mark.parametrize(
    ("height", "width", "message"),
    [
        (1, 1, None),
        (8192, 8192, None),
        (8193, 8192, f"image size 8192×8193 exceeds the limit of {MAX_PIXELS} pixels"),
        (0, 40, "image size 40×0 is empty"),
        (40, 0, "image size 0×40 is empty"),
        (1025, 65535, f"image size 65535×1025 exceeds the limit of {MAX_PIXELS} pixels"),
    ],
)
def test_sizes_are_read_from_the_header_and_limited(kind, height, width, message):
    data = png(height, width) if kind == ".png" else jpeg(height=height, width=width)
    if message is None:
        check_compressed(data)
    else:
        assert refusal(data) == message


def test_all_four_bytes_of_the_sides_of_a_png_count():
    for height, width in ((1, 1 << 27), (1 << 27, 1)):
        assert refusal(png(height, width)) == (
            f"image size {width}×{height} exceeds the limit of {MAX_PIXELS} pixels"
        )


@pytest.mark.parametrize("frame", FRAMES)
def test_every_kind_of_frame_has_its_size_read(frame):
    assert refusal(jpeg(SHORT, frame=frame, height=0)) == "image size 40×0 is empty"


@pytest.mark.parametrize(
    "segments",
    [
        (SHORT, LONG),
        (LONG, SHORT),
        (b"\xff", SHORT),  # fill bytes before a marker
        (SHORT, b"\xff\xff", SHORT),
        *((SHORT, bytes([0xFF, code]), SHORT) for code in (0x01, *range(0xD0, 0xD8))),
        *((b"\xff" + bytes([code]) + b"\x00\x08" + b"\0" * 6,) for code in (0xC4, 0xC8, 0xCC)),
    ],
)
def test_the_frame_is_found_behind_other_segments(segments):
    assert refusal(jpeg(*segments, height=0)) == "image size 40×0 is empty"


@pytest.mark.parametrize(
    "segments",
    [
        (b"\xff\xda\x00\x02",),  # scans before any frame
        (b"\xff\xd9\x00\x02",),  # the end
        (b"\x00",),  # no marker
        (SHORT, b"\xff\xe0\xff\xff"),  # longer than the file
    ],
)
def test_a_jpeg_without_a_frame_where_one_belongs_is_refused(segments):
    data = jpeg(*segments)
    assert refusal(data) == f"JPEG of {len(data)} bytes has no readable frame header"


@pytest.mark.parametrize(("kind", "what"), [(".jpg", "end marker"), (".png", "end chunk")])
def test_the_end_may_be_followed_by_a_little_padding(kind, what):
    data, size = (png(30, 40), 4) if kind == ".png" else (jpeg(LONG), 2)
    check_compressed(data + bytes(64 - size))
    longer = data + bytes(65 - size)
    name = kind[1:].replace("jpg", "jpeg").upper()
    assert refusal(longer) == f"{name} of {len(longer)} bytes has no {what}; it is truncated"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + bytes(40) + b"IEND",
        png(30, 40).replace(b"\x89PNG", b"\x89pNG"),
        png(30, 40).replace(b"IHDR", b"iHDR"),
        png(30, 40)[:22],
    ],
)
def test_other_formats_are_named_as_neither(data):
    expected = f"compressed data of {len(data)} bytes is neither JPEG nor PNG"
    assert refusal(data) == expected
