"""The ground ahead as ``~/ground`` shows it, as a picture beside the overlay.

The sample drive comes without calibration, so the camera is assumed: focal length, height and pitch
are read off its frames (the horizon's row, the height of cyclists above where they touch the road).
"""

from __future__ import annotations

import cv2
import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.projection.calibration import Calibration
from bisenet_ros.projection.camera_model import CameraModel
from bisenet_ros.projection.costs import FREE, LETHAL, UNKNOWN, read_costs
from bisenet_ros.projection.ground import Grid, GroundTable
from bisenet_ros.projection.pose import Pose
from bisenet_ros.system.share import SAMPLE_BAG, share_file

FOCAL_LENGTH = 1.04  # of the image's width
HEIGHT_M, PITCH_RAD = 1.4, 0.0
GRID = Grid(resolution=0.25, x_min=3.5, x_max=16.0, y_max=6.25)
ASSUMED = (
    f"the camera {HEIGHT_M:g} m above the road, its pitch {PITCH_RAD:g} rad, its focal length "
    f"{FOCAL_LENGTH:g} times the image's width, no distortion"
)
COSTS = "config/costs/camvid.yaml"

_UNKNOWN, _FREE = (43, 47, 54), (52, 168, 110)
_DEAR, _LETHAL = (240, 180, 60), (224, 62, 62)
_INK = (208, 213, 220)
_STEP_M = 5  # between the lines across


class BirdsEye:
    """Draws masks of one size as seen from above.

    Args:
        height, width: of the masks in pixels.
        costs: (256,) int8 of :func:`bisenet_ros.projection.costs.read_costs`.
    """

    def __init__(self, height: int, width: int, costs: np.ndarray) -> None:
        focal = FOCAL_LENGTH * width
        k = (focal, 0.0, (width - 1) / 2, 0.0, focal, (height - 1) / 2, 0.0, 0.0, 1.0)
        camera = CameraModel(Calibration(width, height, "none", (), k))
        self.table = GroundTable(camera, Pose.from_mounting(HEIGHT_M, PITCH_RAD), GRID)
        self.costs = costs

    def draw(self, mask: np.ndarray, height: int) -> np.ndarray:
        """A picture of one mask.

        Args:
            mask: (H, W) uint8 class ids.
            height: of the picture in pixels.

        Returns:
            (height, w, 3) uint8 RGB: ahead is up, left is left.
        """
        cells = colours_of(self.table.project(mask, self.costs).costs)
        ahead_up = np.ascontiguousarray(cells[::-1, ::-1].transpose(1, 0, 2))
        rows, columns = ahead_up.shape[:2]
        size = round(height * columns / rows), height
        picture = cv2.resize(ahead_up, size, interpolation=cv2.INTER_NEAREST)
        for metres in range(_STEP_M, int(GRID.x_max) + 1, _STEP_M):
            row = round(height * (GRID.x_max - metres) / (GRID.x_max - GRID.x_min))
            cv2.line(picture, (0, row), (6, row), _INK, 1)
            place = (10, row + 4)
            cv2.putText(
                picture, f"{metres} m", place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, _INK, 1, cv2.LINE_AA
            )
        return picture


def of_drive(bag: str, labels: LabelSet, height: int, width: int) -> BirdsEye | None:
    """The bird's-eye view of the sample drive; None for any other, whose camera is not known.

    Args:
        bag: its name.
        labels: what the ids of the masks mean; None too if the costs are of other classes.
        height, width: of the masks in pixels.
    """
    if bag != SAMPLE_BAG.rsplit("/", 1)[-1]:
        return None
    try:
        return BirdsEye(height, width, read_costs(share_file(COSTS), labels.names))
    except DataError:
        return None


def colours_of(costs: np.ndarray) -> np.ndarray:
    """(rows, columns) int8 costs as (rows, columns, 3) uint8 RGB.

    Free ground is green, the dearest amber with the shades between, obstacles red, the rest grey.
    """
    table = np.empty((256, 3), np.uint8)
    table[:] = _UNKNOWN
    share = np.linspace(0, 1, LETHAL - FREE)[:, None]
    table[FREE:LETHAL] = np.rint(np.array(_FREE) * (1 - share) + np.array(_DEAR) * share)
    table[LETHAL] = _LETHAL
    assert UNKNOWN == -1
    return table[costs.view(np.uint8)]


def beside(overlay: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Overlay and bird's-eye view of one height, side by side."""
    gap = np.full((overlay.shape[0], 8, 3), 255, np.uint8)
    return np.concatenate([overlay, gap, picture], 1)
