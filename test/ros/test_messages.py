"""Messages to pixels and back, without DDS."""

from array import array

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from bisenet_ros.errors import DataError
from bisenet_ros.projection.run_length import RUN
from bisenet_ros.ros import messages
from bisenet_ros.ros.segmentation.camera import camera_names

HEADER = Header(frame_id="camera_optical_frame")


@settings(max_examples=50, deadline=None)
@given(height=st.integers(1, 60), width=st.integers(1, 60), colour=st.booleans())
def test_pixels_survive_the_way_into_a_message_and_out(height, width, colour):
    random = np.random.default_rng(height * 100 + width)
    pixels = random.integers(0, 256, (height, width, 3) if colour else (height, width), np.uint8)
    message = messages.to_image(HEADER, pixels, "rgb8" if colour else "mono8")
    assert message.header == HEADER
    assert (message.height, message.width) == (height, width)
    assert message.step == width * (3 if colour else 1) == len(message.data) // height
    assert bytes(message.data) == pixels.tobytes()
    image, order = messages.to_pixels(message)
    assert order == "rgb"
    assert np.array_equal(image, pixels if colour else np.repeat(pixels[..., None], 3, 2))


def test_a_view_with_strides_is_packed():
    wide = np.arange(60, dtype=np.uint8).reshape(6, 10)
    message = messages.to_image(HEADER, wide[:, 2:7], "mono8")
    assert bytes(message.data) == wide[:, 2:7].tobytes() and message.step == 5
    row = messages.to_image(HEADER, wide[:1, 2:7], "mono8")
    assert bytes(row.data) == wide[:1, 2:7].tobytes() and row.step == 5


def test_three_channel_messages_are_viewed_not_copied():
    message = messages.to_image(HEADER, np.zeros((4, 5, 3), np.uint8), "bgr8")
    image, order = messages.to_pixels(message)
    assert order == "bgr"
    assert np.shares_memory(image, np.frombuffer(message.data, np.uint8))


def test_byte_order_is_that_of_the_message():
    grey = np.array([[0x1234, 0xAB00]], np.uint16)
    for big, data in ((False, grey.astype("<u2")), (True, grey.astype(">u2"))):
        message = Image(height=1, width=2, encoding="mono16", step=4, is_bigendian=int(big))
        message.data = array("B", data.tobytes())
        found = messages.to_pixels(message).image[0, :, 0]
        assert np.abs(found.astype(int) - [0x12, 0xAB]).max() <= 1  # rounded from sixteen bits


def test_sixteen_bit_pixels_have_steps_of_two_bytes():
    depth = np.arange(6, dtype=np.uint16).reshape(2, 3) * 1000
    message = messages.to_image(HEADER, depth, "mono16")
    assert (message.height, message.width, message.step) == (2, 3, 6)
    assert bytes(message.data) == depth.tobytes() and not message.is_bigendian


def test_runs_are_said_to_be_an_image_of_the_masks_size():
    mask = np.zeros((4, 300), np.uint8)
    mask[1:3] = 7
    message = messages.to_runs(HEADER, mask)
    assert message.header == HEADER and message.encoding == "mono8"
    assert (message.height, message.width, message.step) == (4, 300, 300)
    runs = np.frombuffer(message.data, RUN)
    assert np.array_equal(np.repeat(runs["value"], runs["length"]), mask.reshape(-1))


@pytest.mark.parametrize(
    ("sec", "nanosec", "nanoseconds"),
    [
        (0, 0, 0),
        (1, 5, 1_000_000_005),
        (1_700_000_000, 999_999_999, 1_700_000_000_999_999_999),
        (-1, 0, -1_000_000_000),  # which a message can carry
        (-2, 999_999_999, -1_000_000_001),
    ],
)
def test_stamps_are_nanoseconds_both_ways(sec, nanosec, nanoseconds):
    stamp = Time(sec=sec, nanosec=nanosec)
    assert messages.stamp_ns(stamp) == nanoseconds
    assert messages.to_stamp(nanoseconds) == stamp


def test_jpegs_have_the_header_quality_and_channel_order_that_are_asked_for():
    header = Header(frame_id="lens")
    random = np.random.default_rng(0)
    pixels = cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), (160, 120))
    good, poor = (messages.to_jpeg(header, pixels, quality) for quality in (95, 20))
    assert good.header == header and len(good.data) > 2 * len(poor.data)
    for order, channel in (("rgb", 0), ("bgr", 2)):
        red = np.zeros((16, 16, 3), np.uint8)
        red[..., channel] = 255
        message = messages.to_jpeg(header, red, 95, order)
        decoded = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
        assert (decoded[..., 2] > 240).all() and (decoded[..., 0] < 15).all()  # BGR: red


def test_jpeg_is_labelled_as_image_transport_does():
    rgb = np.zeros((20, 30, 3), np.uint8)
    rgb[..., 0] = 200
    message = messages.to_jpeg(HEADER, rgb, 95)
    assert message.format == "rgb8; jpeg compressed bgr8"
    decoded = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(decoded[..., ::-1].astype(int) - rgb).max() < 8


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 0},
        {"width": 0},
        {"step": 2},
        {"encoding": "rgb9"},
        {"encoding": ""},
        {"height": 5},
        {"width": 100_000, "height": 100_000, "step": 300_000},
        {"data": b""},
    ],
)
def test_broken_messages_are_refused_by_the_check_and_by_the_decoder(changes):
    message = messages.to_image(HEADER, np.zeros((4, 5, 3), np.uint8), "rgb8")
    for name, value in changes.items():
        setattr(message, name, value)
    for function in (messages.check, messages.to_pixels):
        with pytest.raises(DataError):
            function(message)


def test_the_check_lets_good_messages_pass():
    messages.check(messages.to_image(HEADER, np.zeros((4, 5), np.uint8), "mono8"))
    messages.check(messages.to_jpeg(HEADER, np.zeros((4, 5, 3), np.uint8), 80))
    with pytest.raises(DataError):
        messages.check(CompressedImage(data=b"no picture"))
    with pytest.raises(DataError):
        messages.check(Image())


@pytest.mark.parametrize(
    ("topics", "names"),
    [
        (["/camera/image_raw"], ["camera"]),
        (["/front/image_raw", "/rear/image_rect_color"], ["front", "rear"]),
        (["/left/cam/image", "/right/cam/image"], ["left_cam", "right_cam"]),
        (["image"], ["image"]),
        (["/a/image_raw", "/a/image_rect"], ["a_image_raw", "a_image_rect"]),
        (["/oak/rgb/image_raw/compressed"], ["rgb"]),
    ],
)
def test_cameras_are_named_after_their_topics(topics, names):
    assert camera_names(topics) == names


@pytest.mark.parametrize(
    "encoding",
    ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "bayer_rggb8", "bayer_gbrg8", "yuv422"],
)
def test_pixels_equal_those_of_cv_bridge(encoding):
    """Where the distribution has a working cv_bridge; it knows neither nv12 nor nv21."""
    bridge = pytest.importorskip("cv_bridge", exc_type=ImportError).CvBridge()
    size = {"rgba8": 4, "bgra8": 4, "mono16": 2, "yuv422": 2}.get(encoding, 1)
    size = 3 if encoding in ("rgb8", "bgr8") else size
    random = np.random.default_rng(5)
    message = Image(height=24, width=32, step=32 * size, encoding=encoding)
    message.data.frombytes(random.integers(0, 256, 24 * 32 * size, np.uint8).tobytes())
    image, order = messages.to_pixels(message)
    assert np.array_equal(image, bridge.imgmsg_to_cv2(message, f"{order}8"))
