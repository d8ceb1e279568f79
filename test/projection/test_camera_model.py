import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from renderer import camera_rays
from views import CAMERAS, calibration, fisheye

from bisenet_ros.projection.calibration import Calibration
from bisenet_ros.projection.camera_model import CameraModel, nearest_pixels


@pytest.fixture(params=CAMERAS)
def camera(request: pytest.FixtureRequest) -> Calibration:
    return CAMERAS[request.param]


def shown_by_opencv(camera: Calibration, points: np.ndarray) -> np.ndarray:
    k, d = np.array(camera.k).reshape(3, 3), np.array(camera.d or (0.0,) * 4)
    zero = np.zeros(3)
    project = (
        cv2.fisheye.projectPoints if camera.distortion_model == "equidistant" else cv2.projectPoints
    )
    if camera.distortion_model == "equidistant":
        return project(points.reshape(-1, 1, 3), zero, zero, k, d)[0].reshape(-1, 2)
    return project(points, zero, zero, k, d)[0].reshape(-1, 2)


def test_points_appear_where_opencv_shows_them(camera: Calibration):
    generator = np.random.default_rng(3)
    points = np.stack([*generator.uniform(-0.9, 0.9, (2, 500)), np.ones(500)], -1)
    points *= generator.uniform(0.1, 30, (500, 1))
    assert np.allclose(CameraModel(camera).project(points), shown_by_opencv(camera, points))


def test_every_pixel_sees_along_its_ray(camera: Calibration):
    model = CameraModel(camera)
    assert model.rays.shape == (camera.height, camera.width, 3)
    assert model.rays.dtype == np.float32
    assert np.allclose(np.linalg.norm(model.rays, axis=-1), 1, atol=1e-6)
    down, across = np.indices((camera.height, camera.width))
    shown = model.project(model.rays.astype(float) * 7)
    assert np.abs(shown - np.stack([across, down], -1)).max() < 1e-3
    # OpenCV inverts the distortion in its own way.
    opencv = camera_rays(camera)
    slopes = np.moveaxis(model.slopes, 0, -1)
    assert np.allclose(slopes, opencv[..., :2] / opencv[..., 2:], rtol=1e-5, atol=1e-6)


def test_rays_are_made_once(camera: Calibration):
    model = CameraModel(camera)
    assert model.rays is model.rays and model.slopes is model.slopes


def test_rectified_images_use_p(camera: Calibration):
    model = CameraModel(camera, rectified=True)
    p = np.array(camera.p).reshape(3, 4)
    points = np.random.default_rng(4).uniform([-2, -1, 1], [2, 1, 9], (100, 3))
    shown = points @ p[:, :3].T
    assert np.allclose(model.project(points), shown[:, :2] / shown[:, 2:])
    assert np.allclose(model.project(model.rays_at(np.array([17.0, 250.0]))), [17, 250])


def test_what_is_behind_or_out_of_the_lens_is_not_shown():
    barrel = CameraModel(calibration("plumb_bob", (-0.4, 0.0, 0.0, 0.0, 0.0)))
    # r (1 − 0.4 r²) turns back at r = √(1 / 1.2): a point further out must not fold into the image.
    edge = np.sqrt(1 / 1.2)
    points = np.array(
        [[edge * 0.99, 0, 1], [edge * 1.01, 0, 1], [1.5, 0, 1], [0, 0, -1], [0, 0, 0]]
    )
    assert np.isnan(barrel.project(points)).all(-1).tolist() == [False, True, True, True, True]
    wide = CameraModel(fisheye(220))
    points = np.array([[1, 0, 0], [1, 0, -0.2], [0, 0, 0], [0, 0, -1]])
    assert np.isnan(wide.project(points)).all(-1).tolist() == [False, False, True, True]


def test_pixels_beyond_the_lens_have_no_ray():
    barrel = CameraModel(calibration("plumb_bob", (-0.4, 0.0, 0.0, 0.0, 0.0), focal=200.0))
    missing = np.isnan(barrel.rays[..., 0])
    assert missing[:, 0].all() and not missing[180, 320]
    assert np.array_equal(missing, np.isnan(barrel.slopes[0]))
    wide = CameraModel(fisheye(220))
    assert not np.isnan(wide.rays[180]).any()
    assert np.isnan(wide.slopes[:, 180, 0]).all()  # looks back: no depth ahead


@settings(max_examples=40, deadline=None)
@given(
    k=st.tuples(*[st.floats(-0.15, 0.15)] * 3),
    p=st.tuples(*[st.floats(-0.01, 0.01)] * 2),
    focal=st.floats(200, 1500),
)
def test_rays_and_pixels_belong_together_for_any_mild_lens(k: tuple, p: tuple, focal: float):
    model = CameraModel(calibration("plumb_bob", (k[0], k[1], *p, k[2]), focal=focal))
    pixels = np.stack(np.meshgrid(np.linspace(0, 639, 13), np.linspace(0, 359, 9)), -1)
    rays = model.rays_at(pixels)
    there = ~np.isnan(rays[..., 0])
    assert there[4, 6]
    assert np.allclose(model.project(rays)[there], pixels[there], atol=1e-4)


def test_models_are_equal_where_calibration_and_use_are():
    camera = CAMERAS["plumb_bob"]
    assert CameraModel(camera) == CameraModel(calibration("plumb_bob", camera.d))
    assert CameraModel(camera) != CameraModel(camera, rectified=True)
    assert CameraModel(camera) != CameraModel(CAMERAS["none"])
    assert len({CameraModel(camera), CameraModel(camera)}) == 1


def test_nearest_pixel_reaches_half_a_pixel_around_its_centre():
    places = [(-0.5, 0), (-0.51, 0), (2.49, 1.49), (2.5, 0), (0, 1.5), (np.nan, 0), (1.5, 0.5)]
    assert nearest_pixels(np.array(places), 2, 3).tolist() == [0, -1, 5, -1, -1, -1, 5]
