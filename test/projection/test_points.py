import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from renderer import Box, Scene, render
from views import CAMERAS, LOOKING_DOWN, calibration

from bisenet_ros.errors import DataError
from bisenet_ros.projection.camera_model import CameraModel
from bisenet_ros.projection.points import POINT, LabelledPoints

SCENE = Scene(
    np.random.default_rng(8).integers(0, 4, (20, 20), np.uint8),
    0.5,
    (-0.3, -5.0),
    (Box(2.5, 0.3, 0.6, 0.8, 0.7, 7, yaw=0.3), Box(3.5, -1.5, 0.3, 0.3, 2.5, 8)),
)


def frame(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mask, confidence and image at random."""
    generator = np.random.default_rng(seed)
    return (
        generator.integers(0, 256, (height, width), np.uint8),
        generator.integers(0, 256, (height, width), np.uint8),
        generator.integers(0, 256, (height, width, 3), np.uint8),
    )


def as_depth_image(depth: np.ndarray, kind: type) -> np.ndarray:
    """Metres, as a driver sends it that sees up to 60 m."""
    if kind is np.float32:
        return np.where(depth < 60, depth, np.inf).astype(np.float32)
    return np.where(depth < 60, np.rint(1000 * depth), 0).astype(np.uint16)


def nearest_rows(there: int, wanted: int) -> list[int]:
    return [min(math.floor((i + 0.5) * there / wanted), there - 1) for i in range(wanted)]


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("depth_size", [(180, 320), (360, 640), (90, 160), (200, 250)])
def test_points_lie_where_they_were_rendered(camera: str, kind: type, depth_size: tuple[int, int]):
    calibrated = CAMERAS[camera].scaled(180, 320)
    seen = render(
        SCENE, calibrated.scaled(*depth_size), LOOKING_DOWN.rotation, LOOKING_DOWN.translation
    )
    points = LabelledPoints(CameraModel(calibrated), *depth_size)
    cloud = points.make(as_depth_image(seen.depth, kind), *frame(180, 320))
    assert cloud.shape == (180, 320) and cloud.dtype == POINT
    rows, columns = nearest_rows(depth_size[0], 180), nearest_rows(depth_size[1], 320)
    truth = LOOKING_DOWN.to_optical(seen.points)[np.ix_(rows, columns)]
    met = seen.depth[np.ix_(rows, columns)] < 60
    assert met.mean() > 0.5
    found = np.stack([cloud[axis] for axis in "xyz"], -1)
    off = np.abs(found - truth)[met]
    allowed = 0.001 + 0.001 * truth[met][:, 2]
    assert (off[:, 2] <= allowed).all()
    # Aside, whole millimetres along the axis are more the wider the ray leads.
    wide = np.abs(truth[met][:, :2] / truth[met][:, 2:])
    assert (off[:, :2] <= allowed[:, None] * np.maximum(wide, 1)).all()
    assert np.isnan(found[~met]).all()


def test_points_of_a_smaller_mask_lie_on_the_surfaces_too():
    calibrated = CAMERAS["plumb_bob"]
    seen = render(SCENE, calibrated, LOOKING_DOWN.rotation, LOOKING_DOWN.translation)
    camera = CameraModel(calibrated).scaled(90, 160)
    cloud = LabelledPoints(camera, 360, 640).make(
        as_depth_image(seen.depth, np.uint16), *frame(90, 160)
    )
    found = LOOKING_DOWN.to_ground(np.stack([cloud[a] for a in "xyz"], -1).astype(float))
    ground = (seen.things[2::4, 2::4] == -1) & (seen.depth[2::4, 2::4] < 60)
    assert ground.sum() > 5000
    assert np.abs(found[ground][:, 2]).max() < 0.002
    # And within half a mask pixel of the pixel's own ray.
    shown = camera.project(np.stack([cloud[a] for a in "xyz"], -1))
    down, across = np.indices((90, 160))
    off = np.abs(shown - np.stack([across, down], -1))
    assert np.nanmax(off) < 0.51


def test_fields_are_those_of_a_point_cloud():
    depth = np.full((2, 3), 1500, np.uint16)
    mask = np.array([[0, 1, 2], [10, 254, 255]], np.uint8)
    confidence = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 14
    camera = calibration("none", width=3, height=2)
    cloud = LabelledPoints(CameraModel(camera), 2, 3).make(depth, mask, confidence, image)
    data = cloud.tobytes()
    assert len(data) == 2 * 3 * 24
    fx, _, cx, _, fy, cy, *_ = camera.k
    for v in range(2):
        for u in range(3):
            x, y, z, blue, green, red, alpha, label, sure = struct.unpack_from(
                "<fff4BIf", data, 24 * (3 * v + u)
            )
            assert (x, y) == (
                pytest.approx(1.5 * (u - cx) / fx),
                pytest.approx(1.5 * (v - cy) / fy),
            )
            assert z == 1.5
            assert (red, green, blue, alpha) == (*image[v, u], 0)
            assert label == mask[v, u]
            assert sure == pytest.approx(confidence[v, u] / 255)
    assert not np.isnan(cloud["rgb"]).any()


@pytest.mark.parametrize(
    "depth",
    [
        np.array([[0, 1, 65535]], np.uint16),
        np.array([[0.0, -1.0, math.nan]], np.float32),
        np.array([[math.inf, -math.inf, 1e-3]], np.float32),
    ],
)
def test_what_is_no_depth_is_nan_in_every_coordinate(depth: np.ndarray):
    camera = CameraModel(calibration("none", width=3, height=1))
    with np.errstate(all="raise"):
        cloud = LabelledPoints(camera, 1, 3).make(depth, *frame(1, 3))
    metres = depth[0] / 1000 if depth.dtype == np.uint16 else depth[0].astype(float)
    for point, d in zip(cloud[0], metres, strict=True):
        good = math.isfinite(d) and d > 0
        assert [math.isnan(point[axis]) for axis in "xyz"] == [not good] * 3
        assert not good or point["z"] == pytest.approx(d)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 12)),
    depth_size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    kind=st.sampled_from([np.uint16, np.float32]),
    seed=st.integers(0, 100),
)
def test_any_sizes_agree_with_a_loop_over_pixels(
    size: tuple[int, int], depth_size: tuple[int, int], kind: type, seed: int
):
    calibrated = calibration("plumb_bob", (-0.1, 0.01, 0.001, 0.001, 0.0), *size[::-1], 50.0)
    mask, confidence, image = frame(*size, seed)
    depth = np.random.default_rng(seed).integers(0, 9000, depth_size).astype(np.uint16)
    depth[depth < 1000] = 0
    if kind is np.float32:
        depth = depth.astype(np.float32) / 1000
    camera = CameraModel(calibrated)
    cloud = LabelledPoints(camera, *depth_size).make(depth, mask, confidence, image)
    slopes = camera.scaled(*depth_size).slopes
    rows, columns = nearest_rows(depth_size[0], size[0]), nearest_rows(depth_size[1], size[1])
    for v in range(size[0]):
        for u in range(size[1]):
            j, i = rows[v], columns[u]
            z = np.float32(depth[j, i]) / np.float32(1000 if kind is np.uint16 else 1)
            z = z if z > 0 else np.float32(np.nan)
            place = np.array([slopes[0, j, i] * z, slopes[1, j, i] * z, z])
            point = cloud[v, u]
            assert np.array_equal([point["x"], point["y"], point["z"]], place, equal_nan=True)
            assert point["label"] == mask[v, u]


def test_more_pixels_than_a_block_and_an_array_of_ones_own():
    """Blocks meet without a seam, and nothing is left of a frame before."""
    height, width = 130, 257
    camera = CameraModel(calibration("none", width=width, height=height))
    points = LabelledPoints(camera, height, width)
    mask, confidence, image = frame(height, width)
    depth = np.full((height, width), 2000, np.uint16)
    memory = bytearray(height * width * POINT.itemsize)
    out = np.frombuffer(memory, POINT).reshape(height, width)
    assert points.make(np.zeros_like(depth), *frame(height, width, 1), out) is out
    assert np.isnan(out["z"]).all()
    assert points.make(depth, mask, confidence, image, out) is out
    assert (out["z"] == 2).all()
    assert np.array_equal(out["label"], mask)
    packed = out["rgb"].view(np.uint32)
    expected = image.astype(np.uint32) @ np.uint32([1 << 16, 1 << 8, 1])
    assert np.array_equal(packed, expected)


def test_an_image_of_another_size_is_brought_to_the_masks():
    camera = CameraModel(calibration("none", width=4, height=2))
    image = np.repeat(np.repeat(frame(2, 4)[2], 3, 0), 3, 1)
    mask, confidence, small = frame(2, 4)
    depth = np.full((2, 4), 1000, np.uint16)
    points = LabelledPoints(camera, 2, 4)
    big = points.make(depth, mask, confidence, image)
    assert np.array_equal(big, points.make(depth, mask, confidence, small))


@pytest.mark.parametrize(
    "depth",
    [np.zeros((4, 4), np.uint16), np.zeros((3, 4), np.uint8), np.zeros((3, 4), np.float64)],
)
def test_depth_of_another_size_or_type_is_refused(depth: np.ndarray):
    points = LabelledPoints(CameraModel(calibration("none", width=4, height=3)), 3, 4)
    with pytest.raises(DataError, match="expected 16UC1"):
        points.make(depth, *frame(3, 4))


def test_what_does_not_fit_the_camera_is_refused():
    points = LabelledPoints(CameraModel(calibration("none", width=4, height=3)), 3, 4)
    depth, (mask, confidence, image) = np.ones((3, 4), np.uint16), frame(3, 4)
    for wrong in (
        (mask[:2], confidence, image),
        (mask, confidence[:, :2], image),
        (mask, confidence, image[..., 0]),
        (mask.astype(int), confidence, image),
        (mask, confidence, image, np.empty((3, 4), np.float32)),
        (mask, confidence, image, np.empty((3, 8), POINT)[:, ::2]),
    ):
        with pytest.raises(ValueError):
            points.make(depth, *wrong)
