"""What ground grid and points cost on top of a mask, for a camera as robots carry one."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from bisenet_ros.benchmark.frames import Frames
from bisenet_ros.errors import DataError
from bisenet_ros.inference import OutputRequest, Result, Segmenter
from bisenet_ros.inference.image_encodings import from_raw
from bisenet_ros.projection.calibration import Calibration
from bisenet_ros.projection.camera_model import CameraModel
from bisenet_ros.projection.costs import LETHAL
from bisenet_ros.projection.ground import Grid, GroundTable
from bisenet_ros.projection.points import POINT, LabelledPoints
from bisenet_ros.projection.pose import Pose

PROJECTIONS = ("ground", "points")
MOUNTING = Pose.from_mounting(0.5, pitch=0.25)
FOCAL_LENGTH = 0.5  # of the image's width: 90 degrees
DISTORTION = (-0.1, 0.02, 0.0, 0.0, 0.0)
DEPTH_RANGE = 10.0  # metres
FREE_CLASSES = ("road", "pavement", "sidewalk", "floor")  # all others are obstacles


def projection_ms(segmenter: Segmenter, frames: Frames, count: int) -> dict[str, float | None]:
    """Median milliseconds of each of ``PROJECTIONS`` over ``count`` masks.

    The depth image is that of the empty ground, of the camera's size and in millimetres. None for
    the ground where the camera is too small to resolve any of its cells.
    """
    camera = _camera(frames.height, frames.width)
    asked = OutputRequest(confidence=True)
    results = []
    for data in frames.data:
        pixels = from_raw(data, "bgr8", frames.height, frames.width, 3 * frames.width)
        results.append((segmenter([pixels.image], pixels.order, asked)[0], pixels.image))
    return {
        "ground": _ground_ms(segmenter, camera, results, count),
        "points": _points_ms(camera, results, count),
    }


def _camera(height: int, width: int) -> CameraModel:
    focal = FOCAL_LENGTH * width
    k = (focal, 0.0, width / 2, 0.0, focal, height / 2, 0.0, 0.0, 1.0)
    return CameraModel(Calibration(width, height, "plumb_bob", DISTORTION, k))


def _ground_ms(
    segmenter: Segmenter,
    camera: CameraModel,
    results: list[tuple[Result, np.ndarray]],
    count: int,
) -> float | None:
    costs = np.full(256, -1, np.int8)
    for index, name in enumerate(segmenter.labels.names):
        costs[index] = 0 if name in FREE_CLASSES else LETHAL
    try:
        table = GroundTable(camera, MOUNTING, Grid())
    except DataError:
        return None
    return _median_ms(lambda i: table.project(results[i % len(results)][0].mask, costs), count)


def _points_ms(camera: CameraModel, results: list[tuple[Result, np.ndarray]], count: int) -> float:
    size = camera.height, camera.width
    down = (camera.rays @ MOUNTING.rotation.T.astype(np.float32))[..., 2]
    with np.errstate(divide="ignore"):
        metres = np.where(down < 0, camera.rays[..., 2] * -MOUNTING.translation[2] / down, 0)
    depth = np.where(metres < DEPTH_RANGE, 1000 * metres, 0).astype(np.uint16)
    maker, out = LabelledPoints(camera, *size), np.empty(size, POINT)

    def make(index: int) -> None:
        result, image = results[index % len(results)]
        assert result.confidence is not None
        maker.make(depth, result.mask, result.confidence, image, out)

    return _median_ms(make, count)


def _median_ms(step: Callable[[int], object], count: int) -> float:
    times = []
    for index in range(count + 1):
        started = time.perf_counter()
        step(index)
        times.append(1e3 * (time.perf_counter() - started))
    return median(times[1:])  # the first touches fresh memory
