"""Where points appear in an image, and which ray of light each pixel sees."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from bisenet_ros.projection.calibration import Calibration
from bisenet_ros.projection.distortion import Distortion, Pinhole, distortion_of

_ROWS = 32  # worked on at a time: what one block needs stays in the processor's cache


class CameraModel:
    """A camera in its optical frame: x to the right, y down, z ahead, in metres.

    Raw images are described by K and D, rectified ones by P. What P says of a second camera (Tx,
    Ty) and R are left aside: points are in the frame of the image itself.

    Args:
        calibration: without roi and binning (:meth:`.Calibration.for_image` works them in).
        rectified: whether the images are rectified.

    Raises:
        DataError: the calibration is all zeros, not finite or of a model that is not known.
    """

    def __init__(self, calibration: Calibration, rectified: bool = False) -> None:
        if calibration.image_size != (calibration.height, calibration.width):
            raise ValueError("work roi and binning in with for_image before making a model")
        calibration.check(rectified)
        self.calibration = calibration
        self.rectified = rectified
        self.height, self.width = calibration.height, calibration.width
        matrix, row = (calibration.p, 4) if rectified else (calibration.k, 3)
        self._fx, self._cx = matrix[0], matrix[2]
        self._fy, self._cy = matrix[row + 1], matrix[row + 2]
        self._distortion: Distortion = (
            Pinhole() if rectified else distortion_of(calibration.distortion_model, calibration.d)
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, CameraModel)
            and self.rectified == other.rectified
            and self.calibration == other.calibration
        )

    def __hash__(self) -> int:
        return hash((self.calibration, self.rectified))

    def scaled(self, height: int, width: int) -> CameraModel:
        """The model of this camera's images resized to another size, as masks are."""
        return CameraModel(self.calibration.scaled(height, width), self.rectified)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Where points appear.

        Args:
            points: (…, 3) metres in the optical frame.

        Returns:
            (…, 2) float64 (u, v) in pixels, also beyond the image's edges; NaN for points behind
            the camera or where the lens model ends.
        """
        points = np.asarray(points, np.float64)
        a, b = self._distortion.to_plane(points[..., 0], points[..., 1], points[..., 2])
        return np.stack([a * self._fx + self._cx, b * self._fy + self._cy], -1)

    def rays_at(self, pixels: np.ndarray) -> np.ndarray:
        """(…, 2) pixels (u, v), also between centres → (…, 3) unit vectors, NaN for none."""
        pixels = np.asarray(pixels, np.float64)
        a = (pixels[..., 0] - self._cx) / self._fx
        b = (pixels[..., 1] - self._cy) / self._fy
        return np.stack(self._distortion.to_ray(a, b), -1)

    @cached_property
    def rays(self) -> np.ndarray:
        """(H, W, 3) float32 unit vector of each pixel, NaN where the lens model ends; made once."""
        rays = np.empty((self.height, self.width, 3), np.float32)
        across = np.arange(self.width, dtype=np.float64)
        for top in range(0, self.height, _ROWS):
            down = np.arange(top, min(top + _ROWS, self.height), dtype=np.float64)
            pixels = np.stack(np.broadcast_arrays(across, down[:, None]), -1)
            rays[top : top + _ROWS] = self.rays_at(pixels)
        return rays

    @cached_property
    def slopes(self) -> np.ndarray:
        """(2, H, W) float32 x/z and y/z of each pixel's ray; NaN where it does not lead ahead.

        Times the depth along z, these are a point's x and y. Made once.
        """
        ahead = np.where(self.rays[..., 2] > 0, self.rays[..., 2], np.float32(np.nan))
        return np.stack([self.rays[..., 0] / ahead, self.rays[..., 1] / ahead])


def nearest_pixels(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixel that holds each position, as an index into the flattened image.

    Args:
        pixels: (…, 2) float (u, v); a pixel reaches half a pixel around its whole number.

    Returns:
        (…) intp; −1 outside the image and where the position is NaN.
    """
    column, row = np.floor(pixels[..., 0] + 0.5), np.floor(pixels[..., 1] + 0.5)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)  # False for NaN
    index = np.where(inside, row * width + column, -1.0)
    return index.astype(np.intp)
