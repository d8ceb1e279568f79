"""Cameras and poses that the tests look through."""

from __future__ import annotations

import math

from bisenet_ros.projection.calibration import Calibration
from bisenet_ros.projection.pose import Pose

DEGREES = math.pi / 180


def calibration(
    model: str = "plumb_bob",
    d: tuple[float, ...] = (),
    width: int = 640,
    height: int = 360,
    focal: float = 320.0,
) -> Calibration:
    """A camera whose principal point is not in the middle, so that mixed-up axes show."""
    cx, cy = width / 2 + 3.3, height / 2 - 5.7
    k = (focal, 0.0, cx, 0.0, focal * 1.01, cy, 0.0, 0.0, 1.0)
    p = (focal * 0.9, 0.0, cx + 2, 0.0, 0.0, focal * 0.92, cy - 3, 0.0, 0.0, 0.0, 1.0, 0.0)
    return Calibration(width, height, model, d, k, p=p)


def fisheye(view: float, width: int = 640, height: int = 360) -> Calibration:
    """An equidistant camera that sees ``view`` degrees from its left edge to its right."""
    d = (-0.02, 0.004, -0.001, 0.0002)
    half = view / 2 * DEGREES
    shown = half * (1 + d[0] * half**2 + d[1] * half**4 + d[2] * half**6 + d[3] * half**8)
    return calibration("equidistant", d, width, height, width / 2 / shown)


CAMERAS = {
    "none": calibration("none"),
    "plumb_bob": calibration("plumb_bob", (-0.28, 0.09, 0.0012, -0.0017, -0.011)),
    "plumb_bob_pincushion": calibration("plumb_bob", (0.12, 0.02, -0.002, 0.001, 0.0)),
    "rational_polynomial": calibration(
        "rational_polynomial", (0.52, -0.19, 0.0009, 0.0004, 0.08, 0.83, -0.08, 0.04)
    ),
    "fisheye_150": fisheye(150),
}
LOOKING_DOWN = Pose.from_mounting(1.2, pitch=20 * DEGREES)
POSES = {
    "level": Pose.from_mounting(1.2),
    "down": Pose.from_mounting(1.2, pitch=15 * DEGREES),
    "up": Pose.from_mounting(1.2, pitch=-15 * DEGREES),
    "rolled": Pose.from_mounting(1.2, pitch=10 * DEGREES, roll=15 * DEGREES),
    "rolled_back": Pose.from_mounting(1.2, pitch=10 * DEGREES, roll=-15 * DEGREES),
    "left": Pose.from_mounting(1.2, pitch=10 * DEGREES, yaw=15 * DEGREES),
    "right_and_aside": Pose.from_mounting(
        1.2, pitch=10 * DEGREES, yaw=-15 * DEGREES, x=0.4, y=-0.7
    ),
    "all": Pose.from_mounting(0.9, 15 * DEGREES, -15 * DEGREES, 15 * DEGREES, 0.2, 0.3),
}
