import math
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from views import CAMERAS, calibration

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.projection.calibration import Calibration, RegionOfInterest
from bisenet_ros.projection.camera_model import CameraModel
from bisenet_ros.projection.rotation import rotate

ZEROS_9, ZEROS_12 = (0.0,) * 9, (0.0,) * 12


@pytest.fixture(params=CAMERAS)
def camera(request: pytest.FixtureRequest) -> Calibration:
    return CAMERAS[request.param]


def test_a_message_is_copied_field_by_field(camera: Calibration):
    roi = SimpleNamespace(x_offset=4, y_offset=6, width=100, height=50, do_rectify=True)
    message = SimpleNamespace(
        width=640,
        height=360,
        distortion_model=camera.distortion_model,
        d=list(camera.d),
        k=np.array(camera.k),
        r=np.array(camera.r),
        p=np.array(camera.p),
        binning_x=2,
        binning_y=1,
        roi=roi,
    )
    expected = replace(camera, binning_x=2, binning_y=1, roi=RegionOfInterest(4, 6, 100, 50, True))
    assert Calibration.from_message(message) == expected
    assert expected.image_size == (50, 50)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_scaled_calibration_shows_the_same_points_at_the_scaled_pixels(
    camera: Calibration, scale: int, rectified: bool
):
    small = camera.scaled(camera.height // scale, camera.width // scale)
    points = np.random.default_rng(5).uniform([-0.6, -0.4, 1], [0.6, 0.4, 1], (200, 3))
    full = CameraModel(camera, rectified).project(points)
    shown = CameraModel(small, rectified).project(points)
    assert np.allclose(shown, (full + 0.5) / scale - 0.5)
    assert (small.height, small.width) == (camera.height // scale, camera.width // scale)
    assert (small.d, small.r, small.distortion_model) == (
        camera.d,
        camera.r,
        camera.distortion_model,
    )


@given(width=st.integers(1, 1300), height=st.integers(1, 800))
def test_any_size_keeps_the_view(width: int, height: int):
    camera = replace(CAMERAS["none"], p=(*CAMERAS["none"].p[:3], -12.0, *CAMERAS["none"].p[4:]))
    other = camera.scaled(height, width)
    across, down = width / camera.width, height / camera.height
    # The image's corners lie half a pixel beyond the outer centres, on the same rays.
    for k, row in (("k", 3), ("p", 4)):
        one, two = np.array(getattr(camera, k)), np.array(getattr(other, k))
        assert (-0.5 - two[2]) / two[0] == pytest.approx((-0.5 - one[2]) / one[0])
        assert (height - 0.5 - two[row + 2]) / two[row + 1] == pytest.approx(
            (camera.height - 0.5 - one[row + 2]) / one[row + 1]
        )
        assert two[0] == pytest.approx(one[0] * across)
        assert two[row + 1] == pytest.approx(one[row + 1] * down)
    assert other.p[3] == pytest.approx(-12 * across)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_scaling_is_that_of_a_resized_image(scale: int):
    """cv2.resize, and a network's upsampling without aligned corners, keep the same view."""
    across = np.tile(np.arange(64, dtype=np.float32), (8, 1))
    small = cv2.resize(across, (64 // scale, 8 // scale), interpolation=cv2.INTER_LINEAR)
    camera = calibration("none", width=64, height=8)
    ray = CameraModel(camera).rays_at(np.array([small[0, 3], 2.0]))
    shown = CameraModel(camera.scaled(8 // scale, 64 // scale)).project(ray)
    assert shown[0] == pytest.approx(3)


def test_roi_and_binning_are_worked_in_as_image_geometry_does():
    full = replace(
        calibration("plumb_bob"), binning_x=2, binning_y=4, roi=RegionOfInterest(40, 60, 200, 80)
    )
    assert full.image_size == (20, 100)
    sent = full.for_image(20, 100)
    k, p = full.k, full.p
    assert sent.k == (k[0] / 2, 0, (k[2] - 40) / 2, 0, k[4] / 4, (k[5] - 60) / 4, 0, 0, 1)
    assert sent.p[:4] == (p[0] / 2, 0, (p[2] - 40) / 2, p[3] / 2)
    assert sent.p[4:8] == (0, p[5] / 4, (p[6] - 60) / 4, p[7] / 4)
    assert sent.p[8:] == (0, 0, 1, 0)
    assert (sent.width, sent.height, sent.binning_x, sent.roi) == (100, 20, 0, RegionOfInterest())
    assert sent.for_image(20, 100) == sent


def test_a_full_roi_and_binning_by_one_change_nothing():
    camera = calibration("none")
    said = replace(camera, binning_x=1, binning_y=1, roi=RegionOfInterest(0, 0, 640, 360))
    assert said.for_image(360, 640) == camera
    assert camera.for_image(360, 640) == camera


def test_images_of_another_size_are_refused():
    with pytest.raises(DataError, match="images of 640×360 pixels, the image has 320×240"):
        calibration().for_image(240, 320)
    binned = replace(calibration(), binning_x=2, binning_y=2)
    with pytest.raises(DataError, match="images of 320×180 pixels, the image has 640×360"):
        binned.for_image(360, 640)
    for change in (lambda: binned.scaled(90, 160), lambda: binned.rotated(90)):
        with pytest.raises(ValueError, match="for_image"):
            change()
    with pytest.raises(ValueError):
        CameraModel(binned)
    with pytest.raises(ValueError):
        calibration().scaled(0, 10)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotated_calibration_sees_with_each_pixel_what_it_saw_before(
    camera: Calibration, degrees: int, rectified: bool
):
    model = CameraModel(camera, rectified)
    turned = CameraModel(camera.rotated(degrees), rectified)
    before = rotate(model.rays, degrees)
    assert turned.rays.shape == before.shape
    angle = math.radians(degrees)
    turn = np.array(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    )
    assert np.allclose(turned.rays, before @ turn.T, atol=1e-6, equal_nan=True)


def test_four_quarter_turns_are_none(camera: Calibration):
    turned = camera
    for _ in range(4):
        turned = turned.rotated(90)
    assert turned.width == camera.width and turned.distortion_model == camera.distortion_model
    for one, two in ((turned.k, camera.k), (turned.p, camera.p), (turned.r, camera.r)):
        assert one == pytest.approx(two)
    assert turned.d == pytest.approx(camera.d)
    with pytest.raises(ArgumentError, match="rotation is 30 degrees"):
        camera.rotated(30)


def test_rotation_turns_rectification_and_second_camera():
    tilt, _ = cv2.Rodrigues(np.array([0.1, -0.2, 0.3]))
    p = (400.0, 0, 310, -40, 0, 410, 170, 8, 0, 0, 1, 0)
    camera = replace(calibration(), r=tuple(tilt.reshape(-1)), p=p)
    turned = camera.rotated(90)
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert np.allclose(np.reshape(turned.r, (3, 3)), quarter @ tilt @ quarter.T)
    # Where P shows a point follows the pixels of the turned image.
    point = np.array([0.3, -0.2, 2.0, 1.0])
    u, v, w = np.reshape(p, (3, 4)) @ point
    new = np.reshape(turned.p, (3, 4)) @ [*(quarter @ point[:3]), 1]
    assert new[:2] / new[2] == pytest.approx([camera.height - 1 - v / w, u / w])


@pytest.mark.parametrize(
    ("change", "rectified", "message"),
    [
        ({"k": ZEROS_9}, False, "K is all zeros: the camera is not calibrated"),
        ({"p": ZEROS_12}, True, "P is all zeros: the camera is not calibrated"),
        ({"k": (math.nan, *ZEROS_9[1:])}, False, "K or D holds values that are not finite"),
        ({"d": (0.1, math.inf, 0, 0, 0)}, False, "K or D holds values that are not finite"),
        ({"p": (math.nan, *ZEROS_12[1:])}, True, "P holds values that are not finite"),
        ({"k": (1.0, 0, 3, 0, 0, 3, 0, 0, 1)}, False, "focal lengths 1 and 0"),
        ({"k": (-400.0, 0, 3, 0, 400.0, 3, 0, 0, 1)}, False, "focal lengths -400 and 400"),
        ({"k": (1.0, 2.0)}, False, "K has 2 values; expected 9"),
        ({"distortion_model": "radtan"}, False, "'radtan'; known are plumb_bob, rational"),
        ({"d": (0.1, 0.2)}, False, "D has 2 values; plumb_bob has 0 or 4 or 5"),
        ({"distortion_model": "equidistant", "d": (0.1,) * 5}, False, "equidistant has 4"),
        ({"distortion_model": "", "d": (0.1,) * 5}, False, "no distortion model has 0"),
    ],
)
def test_useless_calibrations_are_refused(change: dict, rectified: bool, message: str):
    with pytest.raises(DataError, match=message) as caught:
        CameraModel(replace(calibration(), **change), rectified)
    assert "\n" not in str(caught.value)


def test_what_is_not_used_may_be_missing():
    CameraModel(replace(calibration(), p=ZEROS_12))
    CameraModel(replace(calibration("some lens", (math.nan,)), k=ZEROS_9), rectified=True)
    for model in ("", "none", "plumb_bob", "equidistant"):
        CameraModel(replace(calibration(), distortion_model=model, d=(0.0,) * 5))
