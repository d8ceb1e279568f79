"""What sensor_msgs/CameraInfo says, also of cropped, scaled and rotated images.

A message and a :class:`Calibration` have the same field names, so this module needs no ROS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bisenet_ros.errors import DataError
from bisenet_ros.projection.distortion import check_coefficients
from bisenet_ros.projection.rotation import quarter_turns

_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class RegionOfInterest:
    """The part of the full image that is sent, in pixels of the full image; all 0: all of it."""

    x_offset: int = 0
    y_offset: int = 0
    width: int = 0
    height: int = 0
    do_rectify: bool = False


@dataclass(frozen=True)
class Calibration:
    """The fields of sensor_msgs/CameraInfo and their meaning; pixel centres are whole numbers.

    Attributes:
        width: of the full image in pixels, before ``roi`` and binning.
        height: of the full image in pixels, before ``roi`` and binning.
        distortion_model: see :data:`~bisenet_ros.projection.distortion.DISTORTIONS`.
        d: distortion coefficients, as many as the model has.
        k: 3×3 intrinsics of raw images, row by row.
        r: 3×3 rectification, row by row.
        p: 3×4 projection of rectified images, row by row.
        binning_x, binning_y: pixels of the full image in one that is sent; 0 and 1: no binning.
        roi: taken before binning.
    """

    width: int
    height: int
    distortion_model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...] = _IDENTITY
    p: tuple[float, ...] = (0.0,) * 12
    binning_x: int = 0
    binning_y: int = 0
    roi: RegionOfInterest = RegionOfInterest()

    @classmethod
    def from_message(cls, message: Any) -> Calibration:
        """Copy a sensor_msgs/CameraInfo, or anything with its fields; nothing is checked yet."""
        roi = message.roi
        return cls(
            width=int(message.width),
            height=int(message.height),
            distortion_model=str(message.distortion_model),
            d=_floats(message.d),
            k=_floats(message.k),
            r=_floats(message.r),
            p=_floats(message.p),
            binning_x=int(message.binning_x),
            binning_y=int(message.binning_y),
            roi=RegionOfInterest(
                int(roi.x_offset),
                int(roi.y_offset),
                int(roi.width),
                int(roi.height),
                bool(roi.do_rectify),
            ),
        )

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the images that are sent: the full size, cropped, then binned."""
        roi = self.roi
        whole = not (roi.x_offset or roi.y_offset or roi.width or roi.height)
        width, height = (self.width, self.height) if whole else (roi.width, roi.height)
        return height // max(self.binning_y, 1), width // max(self.binning_x, 1)

    def check(self, rectified: bool = False) -> None:
        """See that images can be projected with it.

        Args:
            rectified: the images are rectified, so ``p`` is used, not ``k`` and ``d``.

        Raises:
            DataError: it is all zeros, not finite, or of a distortion model that is not known.
        """
        name, matrix = ("P", self.p) if rectified else ("K", self.k)
        expected = 12 if rectified else 9
        if len(matrix) != expected:
            raise DataError(f"camera_info's {name} has {len(matrix)} values; expected {expected}")
        used = matrix if rectified else (*matrix, *self.d)
        if not all(map(math.isfinite, used)):
            raise DataError(
                f"camera_info's {name}{'' if rectified else ' or D'} holds values that are not "
                "finite; calibrate the camera again"
            )
        if not any(matrix):
            raise DataError(
                f"camera_info's {name} is all zeros: the camera is not calibrated; calibrate it, "
                f"or set image_rectified to {not rectified} if the other matrix holds"
            )
        fx, fy = matrix[0], matrix[5 if rectified else 4]
        if fx <= 0 or fy <= 0:
            raise DataError(
                f"camera_info's {name} has focal lengths {fx:g} and {fy:g}; expected pixels above 0"
            )
        if not rectified:
            check_coefficients(self.distortion_model, self.d)

    def for_image(self, height: int, width: int) -> Calibration:
        """The calibration of the images as they are sent, ``roi`` and binning worked into K and P.

        Binning divides the principal point as it stands, as image_geometry does: that is what the
        sender of a binned camera_info means by it.

        Args:
            height: of the image.
            width: of the image.

        Raises:
            DataError: images that this calibration describes have another size.
        """
        if self.image_size != (height, width):
            there = "{1}×{0}".format(*self.image_size)
            raise DataError(
                f"camera_info describes images of {there} pixels, the image has {width}×{height}; "
                "set the camera driver's calibration to the size it streams"
            )
        binned_x, binned_y = max(self.binning_x, 1), max(self.binning_y, 1)
        if (height, width) == (self.height, self.width):
            return replace(self, binning_x=0, binning_y=0, roi=RegionOfInterest())
        k, p = list(self.k), list(self.p)
        for matrix, row in _given((k, 3), (p, 4)):
            matrix[2] -= self.roi.x_offset
            matrix[row + 2] -= self.roi.y_offset
            for column in range(row):
                matrix[column] /= binned_x
                matrix[row + column] /= binned_y
        return replace(
            self,
            width=width,
            height=height,
            k=tuple(k),
            p=tuple(p),
            binning_x=0,
            binning_y=0,
            roi=RegionOfInterest(),
        )

    def scaled(self, height: int, width: int) -> Calibration:
        """The calibration of the image resized to another size, as masks are: D, R, model stay.

        A pixel covers the same part of the view on both sides, so that with whole numbers at pixel
        centres c' = (c + ½)·s − ½. (image_proc's resize node leaves the halves out and is off by up
        to half a pixel.)

        Args:
            height, width: of the resized image.

        Raises:
            ValueError: a side is below 1, or ``roi`` or binning are in force
                (:meth:`for_image` works them in).
        """
        if height < 1 or width < 1:
            raise ValueError(f"cannot scale a calibration to {width}×{height} pixels")
        if self.image_size != (self.height, self.width):
            raise ValueError("work roi and binning in with for_image before scaling")
        if (height, width) == (self.height, self.width):
            return self
        across, down = width / self.width, height / self.height
        k, p = list(self.k), list(self.p)
        for matrix, row in _given((k, 3), (p, 4)):
            for column in range(row):
                matrix[column] *= across
                matrix[row + column] *= down
            matrix[2] += (across - 1) / 2
            matrix[row + 2] += (down - 1) / 2
        return replace(self, width=width, height=height, k=tuple(k), p=tuple(p))

    def rotated(self, degrees: int) -> Calibration:
        """The calibration of the image turned clockwise, as :func:`.rotation.rotate` does it.

        The optical frame turns with the image: x stays to the right and y down in the turned one.

        Raises:
            ArgumentError: ``degrees`` is not a multiple of 90.
            ValueError: ``roi`` or binning are in force (:meth:`for_image` works them in).
        """
        if self.image_size != (self.height, self.width):
            raise ValueError("work roi and binning in with for_image before rotating")
        turned = self
        for _ in range(quarter_turns(degrees)):
            turned = turned._turned_once()
        return turned

    def _turned_once(self) -> Calibration:
        """A quarter turn clockwise: pixel (u, v) goes to (height − 1 − v, u), x' = −y, y' = x."""
        fx, _, cx, _, fy, cy, *_ = self.k
        pfx, _, pcx, tx, _, pfy, pcy, ty, *_ = self.p
        last = self.height - 1
        d = list(self.d)
        if self.distortion_model in ("plumb_bob", "rational_polynomial") and len(d) >= 4:
            d[2], d[3] = d[3], -d[2]
        a, b, c, e, f, g, h, i, j = self.r
        return replace(
            self,
            width=self.height,
            height=self.width,
            d=tuple(d),
            k=(fy, 0.0, last - cy, 0.0, fx, cx, 0.0, 0.0, 1.0),
            r=(f, -e, -g, -b, a, c, -i, h, j),
            p=(pfy, 0.0, last - pcy, -ty, 0.0, pfx, pcx, tx, 0.0, 0.0, 1.0, 0.0),
        )


def _given(*matrices: tuple[list[float], int]) -> list[tuple[list[float], int]]:
    """Those that are not all zeros: a matrix that was never measured stays recognisable."""
    return [(matrix, row) for matrix, row in matrices if any(matrix)]


def _floats(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
