"""Where a camera is above the ground, and which way it looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bisenet_ros.errors import DataError

# Columns: the optical frame's x, y, z in REP 103's body axes (x ahead, y left, z up).
_BODY_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True, eq=False)
class Pose:
    """The optical frame of a camera, seen from a ground frame whose z = 0 is the ground.

    Attributes:
        rotation: (3, 3) float64, optical frame to ground frame.
        translation: (3,) float64, the camera's centre in metres in the ground frame.
    """

    rotation: np.ndarray
    translation: np.ndarray

    @classmethod
    def from_transform(cls, translation: Sequence[float], quaternion: Sequence[float]) -> Pose:
        """The transform from the optical frame (child) to the ground frame (parent), as TF has it.

        Args:
            translation: x, y, z in metres.
            quaternion: x, y, z, w; need not be of length 1.

        Raises:
            DataError: a value is not finite, or the quaternion is zero.
        """
        x, y, z, w = (float(value) for value in quaternion)
        length = math.sqrt(x * x + y * y + z * z + w * w)
        if not (math.isfinite(length) and length > 1e-9 and all(map(math.isfinite, translation))):
            raise DataError(
                f"the camera's transform is {tuple(translation)}, quaternion {tuple(quaternion)}; "
                "expected finite values and a rotation; look at what publishes it on /tf"
            )
        x, y, z, w = x / length, y / length, z / length, w / length
        rotation = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        return cls(np.array(rotation), np.array([float(value) for value in translation]))

    @classmethod
    def from_mounting(
        cls,
        height: float,
        pitch: float = 0.0,
        roll: float = 0.0,
        yaw: float = 0.0,
        x: float = 0.0,
        y: float = 0.0,
    ) -> Pose:
        """A camera mounted at a place, turned about REP 103's axes: first yaw, then pitch, roll.

        Args:
            height: of its centre above the ground in metres.
            pitch: in radians, positive looks down.
            roll: in radians, positive turns the camera clockwise as it sees the world.
            yaw: in radians, positive turns it to the left.
            x: metres ahead of the ground frame's origin.
            y: metres to its left.

        Raises:
            DataError: a value is not finite.
        """
        if not all(map(math.isfinite, (height, pitch, roll, yaw, x, y))):
            raise DataError(
                f"the camera's mounting holds a value that is not finite: height {height}, pitch "
                f"{pitch}, roll {roll}, yaw {yaw}, x {x}, y {y}; set camera_height and the others"
            )
        cr, cp, cy = math.cos(roll), math.cos(pitch), math.cos(yaw)
        sr, sp, sy = math.sin(roll), math.sin(pitch), math.sin(yaw)
        turn_yaw = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        turn_pitch = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
        turn_roll = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
        rotation = turn_yaw @ turn_pitch @ turn_roll @ _BODY_FROM_OPTICAL
        return cls(rotation, np.array([x, y, height], np.float64))

    def to_optical(self, points: np.ndarray) -> np.ndarray:
        """(…, 3) points of the ground frame, in the optical frame."""
        return (points - self.translation) @ self.rotation

    def to_ground(self, points: np.ndarray) -> np.ndarray:
        """(…, 3) points of the optical frame, in the ground frame."""
        return points @ self.rotation.T + self.translation

    def distance(self, other: Pose) -> tuple[float, float]:
        """How far two poses are apart: metres, and the angle between them in radians."""
        metres = float(np.linalg.norm(self.translation - other.translation))
        # The norm of the difference keeps its digits for small angles, where the trace loses them.
        chord = float(np.linalg.norm(self.rotation - other.rotation)) / (2 * math.sqrt(2))
        return metres, 2 * math.asin(min(chord, 1.0))
