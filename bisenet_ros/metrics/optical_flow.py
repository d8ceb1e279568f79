"""Dense optical flow between consecutive camera frames, and which of it can be trusted.

The method is DIS (Kroeger, Timofte, Dai, Van Gool, "Fast optical flow using dense inverse search",
ECCV 2016, arXiv 1603.03590) as OpenCV implements it, on grey images no larger than a given side.
Scores that build on the flow do not transfer between methods, so the method is part of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np

from bisenet_ros.errors import ArgumentError

PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
# A pixel's flow is consistent if going forward and back ends within this of where it began.
TOLERANCE_PX = 1.0
TOLERANCE_SHARE = 0.01  # of the flow's length
# OpenCV chooses the pyramid by the width alone: smaller or flatter images crash it.
_SMALLEST_SIDE = 64
_LARGEST_ASPECT = 2


@dataclass(frozen=True)
class FlowMethod:
    """What the flow is computed with.

    Attributes:
        preset: of OpenCV's DIS: ``ultrafast``, ``fast`` or ``medium``.
        max_side: larger images are shrunk until their longer side has so many pixels.
    """

    preset: str = "fast"
    max_side: int = 320

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ArgumentError(
                f"optical flow preset is {self.preset!r}; expected one of {', '.join(PRESETS)}"
            )
        if self.max_side < _SMALLEST_SIDE:
            raise ArgumentError(
                f"optical flow max_side is {self.max_side}; expected at least {_SMALLEST_SIDE}"
            )

    def size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(height, width) at which the flow of an image of ``shape`` is computed."""
        scale = min(1.0, self.max_side / max(shape[:2]))
        return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))

    def figures(self) -> dict[str, Any]:
        """The method as JSON values, for reports."""
        return {
            "method": "OpenCV DIS",
            "preset": self.preset,
            "max_side": self.max_side,
            "check": f"|f + b∘f| ≤ {TOLERANCE_PX:g} px + {100 * TOLERANCE_SHARE:g} % of |f|",
        }


class OpticalFlow:
    """Flow between grey images of one size; for one thread at a time."""

    def __init__(self, method: FlowMethod) -> None:
        self.method = method
        self._dis = cv2.DISOpticalFlow_create(  # type: ignore[attr-defined]
            PRESETS[method.preset]
        )

    def grey(self, image: np.ndarray, order: str) -> np.ndarray:
        """A camera image (H, W, 3) uint8, ``rgb`` or ``bgr``, as (h, w) uint8 for :meth:`between`.

        Returns:
            (h, w) uint8, where (h, w) is the method's :meth:`FlowMethod.size` of the image.
        """
        code = cv2.COLOR_RGB2GRAY if order == "rgb" else cv2.COLOR_BGR2GRAY
        height, width = self.method.size(image.shape)
        grey = cv2.cvtColor(image, code)
        if (height, width) == grey.shape:
            return grey
        return cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)

    def between(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Where each pixel of ``first`` went in ``second``.

        Args:
            first, second: (h, w) uint8 of the same size.

        Returns:
            (h, w, 2) float32: pixels to the right and down.
        """
        height, width = first.shape
        grown_height = max(height, _SMALLEST_SIDE, -(-width // _LARGEST_ASPECT))
        grown_width = max(width, _SMALLEST_SIDE, -(-height // _LARGEST_ASPECT))
        if (grown_height, grown_width) != (height, width):
            below, right = grown_height - height, grown_width - width
            first, second = (
                cv2.copyMakeBorder(grey, 0, below, 0, right, cv2.BORDER_REPLICATE)
                for grey in (first, second)
            )
        flow = self._dis.calc(np.ascontiguousarray(first), np.ascontiguousarray(second), None)
        return np.ascontiguousarray(flow[:height, :width])


class Planes(NamedTuple):
    """A flow as two contiguous arrays, which OpenCV takes without copying.

    Attributes:
        x, y: (h, w) float32: pixels to the right, and down.
    """

    x: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, flow: np.ndarray) -> Planes:
        """The planes of a flow (h, w, 2) float32."""
        return cls(*cv2.split(flow))


def consistent(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Where flow and opposite flow agree: the forward–backward check.

    Args:
        forward: (h, w, 2) float32, from one frame to another.
        backward: (h, w, 2) float32, from that other frame back.

    Returns:
        (h, w) bool: pixels that stay in the image and that ``backward``, read bilinearly where
        ``forward`` leads, brings back to within 1 px + 1 % of the flow's length.
    """
    return planes_consistent(Planes.of(forward), Planes.of(backward))


def planes_consistent(forward: Planes, backward: Planes) -> np.ndarray:
    """What :func:`consistent` says, of planes."""
    height, width = forward.x.shape
    columns, rows = _grid(height, width)
    x, y = forward.x + columns, forward.y + rows
    inside = cv2.inRange(x, 0.0, width - 1.0) & cv2.inRange(y, 0.0, height - 1.0)
    missed_x, missed_y = (
        cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for plane in backward
    )
    missed_x += forward.x
    missed_y += forward.y
    allowed: Any = cv2.magnitude(*forward)
    allowed *= TOLERANCE_SHARE
    allowed += TOLERANCE_PX
    return (cv2.magnitude(missed_x, missed_y) <= allowed) & (inside > 0)


def warp_ids(ids: np.ndarray, flow: np.ndarray, outside: int) -> np.ndarray:
    """Each pixel gets the id at the place its flow leads to, rounded to the nearest pixel.

    Args:
        ids: (h, w) uint8 of the frame the flow leads to.
        flow: (h, w, 2) float32.
        outside: the id of pixels whose flow leaves the image.

    Returns:
        (h, w) uint8 in the frame the flow comes from.
    """
    return planes_warp_ids(ids, Planes.of(flow), outside)


def planes_warp_ids(ids: np.ndarray, flow: Planes, outside: int) -> np.ndarray:
    """What :func:`warp_ids` gives, of planes."""
    columns, rows = _grid(*ids.shape)
    # Whole numbers, so that no version of OpenCV rounds them another way.
    x, y = flow.x + columns, flow.y + rows
    return cv2.remap(
        ids,
        np.rint(x, out=x),
        np.rint(y, out=y),
        cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(outside, outside, outside, outside),
    )


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(h, w) float32 each: every pixel's own column and row; not to be written to."""
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    return np.ascontiguousarray(columns), np.ascontiguousarray(rows)
