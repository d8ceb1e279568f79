"""A small ray caster: a ground of painted classes with boxes on it, through any camera.

Its rays come from OpenCV's inverse distortion, not from bisenet_ros.projection, which the tests
measure against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from bisenet_ros.projection.calibration import Calibration

_ACCURATE = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)
_CLOSE = 1e-7  # a ray counts if it appears this close to its pixel on the plane at distance 1


@dataclass(frozen=True)
class Box:
    """A box that stands on the ground; metres, yaw in radians to the left.

    Attributes:
        x, y: of its middle.
        length: along its own x axis.
        width: along its own y axis.
        height: above the ground.
        label: its class id.
    """

    x: float
    y: float
    length: float
    width: float
    height: float
    label: int
    yaw: float = 0.0

    def to_own(self, points: np.ndarray) -> np.ndarray:
        """(…, 3) points or directions' offsets of the ground frame, turned into the box's axes."""
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        return points @ turn

    def covers(self, x: np.ndarray, y: np.ndarray, margin: float = 0.0) -> np.ndarray:
        """Whether places are under the box, or within ``margin`` metres of its sides."""
        offset = np.stack([x - self.x, y - self.y, np.zeros_like(x)], -1)
        own = np.abs(self.to_own(offset))
        return (own[..., 0] <= self.length / 2 + margin) & (own[..., 1] <= self.width / 2 + margin)

    def reached(self, eye: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """(…,) how often a direction goes into the way from the eye to the box; inf: missed."""
        start = self.to_own(eye - [self.x, self.y, 0])
        own = self.to_own(directions)
        low = np.array([-self.length / 2, -self.width / 2, 0])
        high = np.array([self.length / 2, self.width / 2, self.height])
        with np.errstate(divide="ignore", invalid="ignore"):
            one, other = (low - start) / own, (high - start) / own
        near = np.nanmax(np.minimum(one, other), -1, initial=-np.inf)
        far = np.nanmin(np.maximum(one, other), -1, initial=np.inf)
        return np.where((near <= far) & (near > 0), near, np.inf)


@dataclass(frozen=True)
class Scene:
    """Painted ground and boxes.

    Attributes:
        paint: (rows along y, columns along x) uint8 class ids of square tiles.
        tile: side of a tile in metres.
        corner: x and y where tile (0, 0) begins.
        around: class id of the ground beyond the tiles.
        sky: class id where nothing is met.
    """

    paint: np.ndarray
    tile: float
    corner: tuple[float, float]
    boxes: tuple[Box, ...] = ()
    around: int = 0
    sky: int = 255

    def ground_at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The painted class at places on the ground, whatever stands there; uint8."""
        with np.errstate(invalid="ignore"):
            column = np.floor((x - self.corner[0]) / self.tile)
            row = np.floor((y - self.corner[1]) / self.tile)
        rows, columns = self.paint.shape
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        column, row = (np.where(inside, n, 0).astype(np.intp) for n in (column, row))
        return np.where(inside, self.paint[row, column], self.around).astype(np.uint8)


@dataclass(frozen=True)
class Rendered:
    """What a camera sees of a scene.

    Attributes:
        labels: (H, W) uint8 class ids.
        depth: (H, W) float64 metres along the optical axis; inf where nothing is met or seen.
        points: (H, W, 3) float64 what each pixel sees, in the ground frame; NaN for nothing.
        things: (H, W) int: −2 nothing, −1 ground, else the number of the box.
    """

    labels: np.ndarray
    depth: np.ndarray
    points: np.ndarray
    things: np.ndarray


@lru_cache(maxsize=8)
def camera_rays(calibration: Calibration, rectified: bool = False) -> np.ndarray:
    """(H, W, 3) float64 direction of each pixel in the optical frame with z = 1, NaN for none."""
    height, width = calibration.height, calibration.width
    across, down = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
    k = np.array(calibration.p).reshape(3, 4)[:, :3] if rectified else calibration.k
    k = np.array(k, float).reshape(3, 3)
    plane = np.stack([(across - k[0, 2]) / k[0, 0], (down - k[1, 2]) / k[1, 1]], -1)
    d = np.array(calibration.d, float)
    shown = plane.reshape(-1, 1, 2)
    if rectified or calibration.distortion_model in ("", "none"):
        rays = shown
    elif calibration.distortion_model == "equidistant":
        rays = cv2.fisheye.undistortPoints(shown, np.eye(3), d, criteria=_ACCURATE)
        again = cv2.fisheye.distortPoints(rays, np.eye(3), d)
        rays = np.where(np.abs(again - shown).max(-1, keepdims=True) < _CLOSE, rays, np.nan)
    else:
        rays = cv2.undistortPointsIter(shown, np.eye(3), d, np.eye(3), np.eye(3), _ACCURATE)
        ahead = np.concatenate([rays, np.ones_like(rays[..., :1])], -1).reshape(-1, 3)
        again, _ = cv2.projectPoints(ahead, np.zeros(3), np.zeros(3), np.eye(3), d)
        rays = np.where(np.abs(again - shown).max(-1, keepdims=True) < _CLOSE, rays, np.nan)
    rays = rays.reshape(height, width, 2)
    return np.concatenate([rays, np.ones((height, width, 1))], -1)


def render(
    scene: Scene,
    calibration: Calibration,
    rotation: np.ndarray,
    eye: np.ndarray,
    rectified: bool = False,
) -> Rendered:
    """Cast one ray through the centre of each pixel.

    Args:
        scene: see :class:`Scene`.
        calibration: of the images, without roi and binning.
        rotation: (3, 3) optical frame to ground frame.
        eye: (3,) the camera's centre in the ground frame.
        rectified: whether images are rectified, so that P holds.
    """
    rays = camera_rays(calibration, rectified) @ rotation.T
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(rays[..., 2] < 0, -eye[2] / rays[..., 2], np.inf)
    things = np.where(np.isfinite(depth), -1, -2)
    for number, box in enumerate(scene.boxes):
        reached = box.reached(eye, rays)
        nearer = reached < depth
        depth = np.where(nearer, reached, depth)
        things = np.where(nearer, number, things)
    with np.errstate(invalid="ignore"):
        points = np.where(things[..., None] > -2, eye + rays * depth[..., None], np.nan)
    labels = np.where(
        things == -1, scene.ground_at(points[..., 0], points[..., 1]), np.uint8(scene.sky)
    )
    for number, box in enumerate(scene.boxes):
        labels[things == number] = box.label
    return Rendered(labels.astype(np.uint8), depth, points, things)
