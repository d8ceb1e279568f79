"""Warping and the forward–backward check against loops; the flow itself on a moving texture."""

from __future__ import annotations

import math
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bisenet_ros.errors import ArgumentError
from bisenet_ros.metrics import optical_flow
from bisenet_ros.metrics.optical_flow import FlowMethod, OpticalFlow, consistent, warp_ids

SIZES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)


def flows(shape: tuple[int, ...], largest: float = 5.0) -> st.SearchStrategy[np.ndarray]:
    elements = st.floats(-largest, largest, width=32)
    return hnp.arrays(np.float32, (*shape, 2), elements=elements)


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth grey texture with detail everywhere, (H, W) uint8."""
    noise = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def slow_warp(ids: np.ndarray, flow: np.ndarray, outside: int) -> list[list[int]]:
    height, width = ids.shape
    warped = []
    for y in range(height):
        row = []
        for x in range(width):
            # Python rounds halves to even, too; the sum is rounded to float32 first, as there.
            to_x = round(float(np.float32(x) + flow[y, x, 0]))
            to_y = round(float(np.float32(y) + flow[y, x, 1]))
            inside = 0 <= to_x < width and 0 <= to_y < height
            row.append(int(ids[to_y, to_x]) if inside else outside)
        warped.append(row)
    return warped


def slow_bilinear(field: np.ndarray, x: float, y: float) -> np.ndarray:
    height, width = field.shape[:2]
    left, top = min(math.floor(x), width - 1), min(math.floor(y), height - 1)
    right, below = min(left + 1, width - 1), min(top + 1, height - 1)
    across, down = x - left, y - top
    upper = field[top, left] * (1 - across) + field[top, right] * across
    lower = field[below, left] * (1 - across) + field[below, right] * across
    return upper * (1 - down) + lower * down


@given(st.data())
def test_warping_follows_the_slow_version(data):
    shape = data.draw(SIZES)
    ids = data.draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 20)))
    flow = data.draw(flows(shape))
    assert warp_ids(ids, flow, 255).tolist() == slow_warp(ids, flow, 255)


@given(st.data())
def test_the_check_follows_the_slow_version(data):
    height, width = data.draw(SIZES)
    forward = data.draw(flows((height, width)))
    backward = data.draw(flows((height, width)))
    found = consistent(forward, backward)
    for y in range(height):
        for x in range(width):
            f = forward[y, x]
            to_x, to_y = float(np.float32(x) + f[0]), float(np.float32(y) + f[1])
            inside = 0 <= to_x <= width - 1 and 0 <= to_y <= height - 1
            if not inside:
                assert not found[y, x]
                continue
            missed = np.hypot(*(f + slow_bilinear(backward, to_x, to_y)))
            limit = 1 + 0.01 * np.hypot(*f)
            # OpenCV interpolates at 1/32 pixel; neighbours differ by up to 10 pixels here.
            if abs(missed - limit) > 1.0:
                assert found[y, x] == (missed < limit)


@given(st.data(), st.integers(2, 5))
def test_one_pixel_may_stand_for_its_block(data, step):
    height, width = data.draw(SIZES)
    forward, backward = data.draw(flows((height, width))), data.draw(flows((height, width)))
    each = consistent(forward, backward)
    found = consistent(forward, backward, step)
    assert found.shape == (height, width)
    middle = (step - 1) // 2
    for y in range(height):
        for x in range(width):
            at_y = min(y // step * step + middle, height - 1)
            at_x = min(x // step * step + middle, width - 1)
            assert found[y, x] == each[at_y, at_x]


def test_the_check_takes_one_pixel_and_one_percent():
    still = np.zeros((4, 300, 2), np.float32)
    for length, wrong, good in ((0, 0.99, True), (0, 1.01, False), (100, 1.9, True)):
        forward, backward = still.copy(), still.copy()
        forward[..., 0] = length
        backward[..., 0] = -length + wrong
        assert consistent(forward, backward)[:, :100].all() == good
    forward[..., 0], backward[..., 0] = 100, -100 + 2.1
    assert not consistent(forward, backward).any()
    forward[..., 0], backward[..., 0] = 100, -100
    assert not consistent(forward, backward)[:, 200:].any()  # leaves the image


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
@pytest.mark.parametrize("motion", [(6, 0), (-5, 4)])
def test_the_flow_of_a_moving_texture_is_its_motion(preset: str, motion: tuple[int, int]):
    x, y = motion
    big = texture(300, 400)
    first, second = big[40:220, 40:300], big[40 - y : 220 - y, 40 - x : 300 - x]
    flow = OpticalFlow(FlowMethod(preset)).between(first, second)
    inner = flow[20:-20, 20:-20]
    assert np.abs(inner - np.array(motion)).mean() < 0.2
    wrong = np.abs(inner + np.array(motion)).mean()
    assert wrong > 4  # the opposite direction would not pass


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 400), (400, 1), (8, 64), (16, 400), (9, 12), (2, 512), (511, 64)]
)
def test_no_size_of_image_is_too_odd(size: tuple[int, int]):
    # In a process of its own: OpenCV dies of some of them unless they are padded.
    program = (
        "import numpy as np\n"
        "from bisenet_ros.metrics.optical_flow import FlowMethod, OpticalFlow\n"
        f"grey = np.random.default_rng(0).integers(0, 256, {size}, dtype=np.uint8)\n"
        "for preset in ('ultrafast', 'fast', 'medium'):\n"
        "    flow = OpticalFlow(FlowMethod(preset)).between(grey, grey)\n"
        f"    assert flow.shape == {(*size, 2)}\n"
        "    assert np.isfinite(flow).all()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
def test_the_flow_does_not_depend_on_images_seen_before(preset: str):
    """OpenCV's object remembers that it once saw an image too small for its settings."""
    used = OpticalFlow(FlowMethod(preset))
    for size in ((64, 80), (192, 256), (120, 160)):
        first, second = texture(*size, seed=1), np.roll(texture(*size, seed=1), (2, 3), (0, 1))
        alone = OpticalFlow(FlowMethod(preset)).between(first, second)
        assert np.array_equal(used.between(first, second), alone)


def test_large_images_are_shrunk_and_small_ones_are_not():
    method = FlowMethod(max_side=512)
    assert method.size((360, 480, 3)) == (360, 480)
    assert method.size((1080, 1920, 3)) == (288, 512)
    assert method.size((1, 4000, 3)) == (1, 512)
    image = np.zeros((100, 1000, 3), np.uint8)
    image[..., 0] = 200
    flow = OpticalFlow(method)
    assert flow.grey(image, "rgb").shape == (51, 512)
    assert flow.grey(image, "rgb")[0, 0] == round(200 * 0.299)
    assert flow.grey(image, "bgr")[0, 0] == round(200 * 0.114)


@pytest.mark.parametrize("wrong", [{"preset": "slow"}, {"max_side": 10}])
def test_an_unknown_method_is_refused(wrong: dict):
    with pytest.raises(ArgumentError, match="expected"):
        FlowMethod(**wrong)


class Seen:
    """OpenCV's flow: remembers the images, and says where each pixel is."""

    def calc(self, first: np.ndarray, second: np.ndarray, _: None) -> np.ndarray:
        self.first, self.second = first, second
        rows, columns = np.indices(first.shape)
        return np.stack([columns, rows], -1).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "grown"),
    [
        ((64, 64), (64, 64)),
        ((70, 130), (70, 130)),
        ((64, 128), (64, 128)),
        ((63, 65), (64, 65)),
        ((90, 20), (90, 64)),
        ((1, 1), (64, 64)),
        ((64, 129), (65, 129)),  # at most twice as wide as high
        ((200, 70), (200, 100)),  # nor as high as wide
    ],
)
def test_small_and_flat_images_are_padded_by_their_last_row_and_column(size, grown, monkeypatch):
    flow, seen = OpticalFlow(FlowMethod()), Seen()
    monkeypatch.setattr(optical_flow, "_dis", lambda _: seen)
    random = np.random.default_rng(0)
    pair = [random.integers(0, 256, size, np.uint8) for _ in range(2)]
    found = flow.between(*pair)
    for image, seen_image in zip(pair, (seen.first, seen.second), strict=True):
        below, right = grown[0] - size[0], grown[1] - size[1]
        assert np.array_equal(seen_image, np.pad(image, ((0, below), (0, right)), "edge"))
        assert seen_image.flags.c_contiguous
    assert found.shape == (*size, 2) and found.flags.c_contiguous
    assert found[-1, -1].tolist() == [size[1] - 1, size[0] - 1]


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_grey_is_of_the_mean_of_the_pixels_that_are_merged(order):
    flow = OpticalFlow(FlowMethod(max_side=64))
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    means = image.reshape(48, 2, 64, 2, 3).mean((1, 3))
    red, green, blue = np.moveaxis(means if order == "rgb" else means[..., ::-1], -1, 0)
    wanted = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601
    assert np.abs(flow.grey(image, order) - wanted).max() <= 1.01
    assert np.array_equal(
        flow.grey(image[:64, :64], "rgb"), flow.grey(image[:64, :64, ::-1], "bgr")
    )
