"""A depth image and a mask make labelled points, one per pixel of the mask."""

from __future__ import annotations

import cv2
import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.projection.camera_model import CameraModel

# The memory of a PointCloud2: point_step 24, no padding. rgb is the colour's bytes 0 R G B.
POINT = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("rgb", "<f4"),
        ("label", "<u4"),
        ("confidence", "<f4"),
    ]
)
_BLOCK = 12288  # pixels worked on at a time: what one block needs stays in the processor's cache
_MILLIMETRES = np.float32(1000)  # in a metre


class LabelledPoints:
    """Turns depth images into organised points of the mask's size, in the camera's optical frame.

    Each point is one that the depth camera measured: the depth pixel nearest to the mask's pixel,
    on that depth pixel's own ray. Where both have the same size that is the pixel itself.

    Args:
        camera: of the masks' size. Depth is registered to it: the same view, whatever its size.
        depth_height: of the depth images.
        depth_width: of the depth images.
    """

    def __init__(self, camera: CameraModel, depth_height: int, depth_width: int) -> None:
        self.camera = camera
        self.depth_size = depth_height, depth_width
        measured = camera.scaled(depth_height, depth_width).slopes.reshape(2, -1)
        self._nearest: np.ndarray | None = None
        if self.depth_size != (camera.height, camera.width):
            self._nearest = _nearest(self.depth_size, (camera.height, camera.width))
            measured = measured[:, self._nearest]
        self._slopes = np.ascontiguousarray(measured)
        self._planes = np.empty((6, _BLOCK), np.float32)
        self._depth = {kind: np.empty(_BLOCK, kind) for kind in (np.uint16, np.float32)}
        self._colours = np.empty((1, _BLOCK, 4), np.uint8)

    def make(
        self,
        depth: np.ndarray,
        mask: np.ndarray,
        confidence: np.ndarray,
        image: np.ndarray,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """The points of one frame.

        Args:
            depth: along the optical axis, uint16 millimetres (0: none) or float32 metres (not
                finite, 0 and less: none), of ``depth_size``.
            mask: (H, W) uint8 class ids.
            confidence: (H, W) uint8, 255 is certain.
            image: (H, W, 3) uint8 RGB, or of another size: it is brought to the mask's.
            out: (H, W) of :data:`POINT`, contiguous; None: a new one.

        Returns:
            (H, W) of :data:`POINT`, row by row what PointCloud2.data holds. ``label`` is the class
            id, 255 unlabelled; ``confidence`` 0–1; x, y, z are NaN where there is no depth.

        Raises:
            DataError: the depth image has another size or type than announced.
            ValueError: mask, confidence, image or ``out`` do not fit.
        """
        shape = (self.camera.height, self.camera.width)
        if depth.shape != self.depth_size or depth.dtype.type not in self._depth:
            raise DataError(
                f"depth image is {depth.dtype} {depth.shape}; expected 16UC1 (mm) or 32FC1 (m) of "
                f"{self.depth_size}"
            )
        if mask.shape != shape or confidence.shape != shape or image.shape[2:] != (3,):
            raise ValueError(
                f"mask {mask.shape}, confidence {confidence.shape}, image {image.shape}; expected "
                f"{shape}, {shape} and three channels"
            )
        if any(array.dtype != np.uint8 for array in (mask, confidence, image)):
            raise ValueError("mask, confidence and image must be uint8")
        if image.shape[:2] != shape:
            image = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA)
        out = np.empty(shape, POINT) if out is None else out
        if out.shape != shape or out.dtype != POINT or not out.flags.c_contiguous:
            raise ValueError(f"out is {out.dtype} {out.shape}; expected contiguous POINT {shape}")
        flat = out.reshape(-1).view(np.float32).reshape(-1, 6)
        ranges, labels, certain = depth.reshape(-1), mask.reshape(-1), confidence.reshape(-1)
        colours = np.ascontiguousarray(image).reshape(1, -1, 3)
        with np.errstate(invalid="ignore"):
            for start in range(0, labels.size, _BLOCK):
                part = slice(start, min(start + _BLOCK, labels.size))
                planes = self._planes[:, : part.stop - start]
                self._place(ranges, part, planes)
                self._paint(colours[:, part], planes[3])
                np.copyto(planes[4].view(np.uint32), labels[part])
                np.copyto(planes[5], certain[part])
                planes[5] *= np.float32(1 / 255)
                cv2.transpose(planes, dst=flat[part])
        return out

    def _place(self, depth: np.ndarray, part: slice, planes: np.ndarray) -> None:
        """Write x, y and z of these pixels, in metres, NaN where there is no depth."""
        x, y, z = planes[:3]
        if self._nearest is None:
            measured = depth[part]
        else:
            measured = self._depth[depth.dtype.type][: z.size]
            np.take(depth, self._nearest[part], out=measured, mode="clip")
        if depth.dtype == np.uint16:
            np.copyto(z, measured)
            z /= _MILLIMETRES
        else:
            np.maximum(measured, 0, out=z)
        # d / d is 1 for a depth, NaN for 0, inf and NaN.
        np.divide(z, z, out=x)
        z *= x
        np.multiply(self._slopes[0, part], z, out=x)
        np.multiply(self._slopes[1, part], z, out=y)

    def _paint(self, colours: np.ndarray, plane: np.ndarray) -> None:
        """Pack (1, n, 3) RGB as 0x00RRGGBB. Alpha stays 0: with it, bright colours were NaN."""
        packed = self._colours[:, : colours.shape[1]]
        cv2.cvtColor(colours, cv2.COLOR_RGB2BGRA, dst=packed)
        np.bitwise_and(packed.view("<u4")[0, :, 0], 0x00FFFFFF, out=plane.view(np.uint32))


def _nearest(source: tuple[int, int], target: tuple[int, int]) -> np.ndarray:
    """(target pixels,) intp: the source pixel under the centre of each target pixel."""
    rows, columns = (
        ((2 * np.arange(wanted) + 1) * there) // (2 * wanted)
        for there, wanted in zip(source, target, strict=True)
    )
    return (rows[:, None] * source[1] + columns).reshape(-1)
