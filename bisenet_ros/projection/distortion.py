"""Lens distortion as ROS names it: from a direction to the image plane at distance 1, and back.

plumb_bob, rational_polynomial: Brown's radial and tangential terms as OpenCV's calib3d writes them.
equidistant: Kannala and Brandt, "A generic camera model and calibration method for conventional,
wide-angle, and fish-eye lenses", 2006, as in OpenCV's fisheye.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np

from bisenet_ros.errors import DataError

# Model → how many coefficients D may have. Cameras without distortion say either of the last two.
DISTORTIONS: dict[str, tuple[int, ...]] = {
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (8,),
    "equidistant": (4,),
    "none": (0,),
    "": (0,),
}
Array: TypeAlias = np.ndarray

_NODES = 4096  # of the table that inverts the radial part: a start for Newton's method
_WIDEST = 20.0  # tangent of the largest angle looked at: 87 degrees off the axis
_STEPS = 12  # of Newton's method at most; 4 are usual
_EXACT = 1e-12  # distance on the plane at distance 1 at which it stops
_ACCEPTED = 1e-8  # and up to which its result counts: far below a thousandth of a pixel


class Distortion(Protocol):
    """Maps directions in the optical frame (x right, y down, z ahead) to the plane z = 1."""

    def to_plane(self, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
        """Where points (any length, float64) appear; NaN for those the lens does not show."""
        ...

    def to_ray(self, a: Array, b: Array) -> tuple[Array, Array, Array]:
        """The unit vector that appears at (a, b), float64; NaN where none does."""
        ...


def check_coefficients(model: str, d: Sequence[float]) -> None:
    """DataError for a model that is not known or has another number of coefficients."""
    if model not in DISTORTIONS:
        known = ", ".join(name for name in DISTORTIONS if name)
        raise DataError(
            f"camera_info's distortion model is {model!r}; known are {known}; rectify the images "
            "and set image_rectified"
        )
    if len(d) not in DISTORTIONS[model] and any(d):
        counts = " or ".join(map(str, DISTORTIONS[model]))
        raise DataError(
            f"camera_info's D has {len(d)} values; {model or 'no distortion model'} has {counts}"
        )


def distortion_of(model: str, d: Sequence[float]) -> Distortion:
    """The distortion of a camera_info; DataError as :func:`check_coefficients`."""
    check_coefficients(model, d)
    if model == "equidistant":
        return Equidistant(d)
    return Brown(d) if any(d) else Pinhole()


class Pinhole:
    """No distortion."""

    def to_plane(self, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
        ahead = np.where(z > 0, z, np.nan)
        return x / ahead, y / ahead

    def to_ray(self, a: Array, b: Array) -> tuple[Array, Array, Array]:
        z = 1 / np.sqrt(1 + a * a + b * b)
        return a * z, b * z, z


class Brown:
    """Radial and tangential terms: plumb_bob (k1 k2 p1 p2 k3), rational_polynomial (… k4 k5 k6)."""

    def __init__(self, d: Sequence[float]) -> None:
        k1, k2, self._p1, self._p2, k3, k4, k5, k6 = (*d, *[0.0] * (8 - len(d)))
        self._above = np.array([k3, k2, k1, 1.0])  # of r², highest power first
        self._below = np.array([k6, k5, k4, 1.0])
        # Past some radius most calibrations fold back: there the polynomial says nothing.
        radii = np.linspace(0, _WIDEST, 20_001)
        shown = radii * self._radial(radii * radii)
        good = (np.diff(shown) > 0) & (np.polyval(self._below, radii[1:] ** 2) > 0)
        end = len(good) if good.all() else int(np.argmin(good))
        self._limit = np.inf if end == len(good) else radii[end]
        nodes = np.linspace(0, radii[end], _NODES)
        self._table = nodes * self._radial(nodes * nodes), nodes

    def to_plane(self, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
        ahead = np.where(z > 0, z, np.nan)
        x, y = x / ahead, y / ahead
        x = np.where(x * x + y * y <= self._limit * self._limit, x, np.nan)
        return self._distort(x, y)

    def to_ray(self, a: Array, b: Array) -> tuple[Array, Array, Array]:
        radius = np.hypot(a, b)
        start = np.interp(radius, *self._table) / np.where(radius > 0, radius, 1)
        x, y = a * start, b * start
        for _ in range(_STEPS):
            shown_x, shown_y = self._distort(x, y)
            off_x, off_y = shown_x - a, shown_y - b
            far = np.maximum(np.abs(off_x), np.abs(off_y))
            if not np.any(far > _EXACT):
                break
            xx, xy, yy = self._slopes(x, y)
            scale = xx * yy - xy * xy
            scale = np.where(scale != 0, scale, np.nan)
            x = x - (yy * off_x - xy * off_y) / scale
            y = y - (xx * off_y - xy * off_x) / scale
        shown_x, shown_y = self._distort(x, y)
        found = np.maximum(np.abs(shown_x - a), np.abs(shown_y - b)) <= _ACCEPTED
        found &= x * x + y * y <= self._limit * self._limit
        x = np.where(found, x, np.nan)
        z = 1 / np.sqrt(1 + x * x + y * y)
        return x * z, y * z, z

    def _radial(self, square: Array) -> Array:
        above = np.polyval(self._above, square)
        if not self._below[:3].any():
            return above
        with np.errstate(divide="ignore", invalid="ignore"):
            return above / np.polyval(self._below, square)

    def _distort(self, x: Array, y: Array) -> tuple[Array, Array]:
        square = x * x + y * y
        radial = self._radial(square)
        p1, p2 = self._p1, self._p2
        return (
            x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x),
            y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
        )

    def _slopes(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """∂x'/∂x, ∂x'/∂y = ∂y'/∂x, ∂y'/∂y."""
        square = x * x + y * y
        below = np.polyval(self._below, square)
        radial = np.polyval(self._above, square) / below
        slope = np.polyval(np.polyder(self._above), square)
        slope = (slope - radial * np.polyval(np.polyder(self._below), square)) / below
        p1, p2 = self._p1, self._p2
        return (
            radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x,
            2 * x * y * slope + 2 * p1 * x + 2 * p2 * y,
            radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x,
        )


class Equidistant:
    """The image's radius is θ (1 + k1 θ² + k2 θ⁴ + k3 θ⁶ + k4 θ⁸), θ the angle off the axis."""

    def __init__(self, d: Sequence[float]) -> None:
        k1, k2, k3, k4 = (*d, *[0.0] * (4 - len(d)))[:4]
        self._powers = np.array([k4, 0, k3, 0, k2, 0, k1, 0, 1.0, 0])
        self._slope = np.polyder(self._powers)
        angles = np.linspace(0, np.pi, 20_001)
        good = np.polyval(self._slope, angles) > 0
        end = len(good) - 1 if good.all() else max(int(np.argmin(good)) - 1, 1)
        self._limit = angles[end]
        nodes = np.linspace(0, self._limit, _NODES)
        self._table = np.polyval(self._powers, nodes), nodes

    def to_plane(self, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
        side = np.hypot(x, y)
        angle = np.arctan2(side, z)
        angle = np.where(angle <= self._limit, angle, np.nan)
        off_axis = side > 0
        scale = np.polyval(self._powers, angle) / np.where(off_axis, side, 1)
        scale = np.where(off_axis, scale, np.where(z > 0, 0.0, np.nan))
        return x * scale, y * scale

    def to_ray(self, a: Array, b: Array) -> tuple[Array, Array, Array]:
        radius = np.hypot(a, b)
        shown = radius <= self._table[0][-1]
        angle = np.interp(radius, *self._table)
        for _ in range(3):
            off = np.polyval(self._powers, angle) - radius
            angle = np.clip(angle - off / np.polyval(self._slope, angle), 0, self._limit)
        angle = np.where(shown, angle, np.nan)
        scale = np.sin(angle) / np.where(radius > 0, radius, 1)
        return a * scale, b * scale, np.cos(angle)
