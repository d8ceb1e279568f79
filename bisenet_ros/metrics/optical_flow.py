"""Dense optical flow between consecutive camera frames, and which of it can be trusted.

The method is DIS (Kroeger, Timofte, Dai, Van Gool, "Fast optical flow using dense inverse search",
ECCV 2016, arXiv 1603.03590) as OpenCV implements it, on grey images no larger than a given side.
Scores that build on the flow do not transfer between methods, so the method is part of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

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
# One pixel stands for its block: DIS computes at a quarter of the size, and interpolates.
CHECK_STEP = 4
# OpenCV chooses the pyramid by the width alone: smaller or flatter images crash it.
_SMALLEST_SIDE = 64
_LARGEST_ASPECT = 2


@dataclass(frozen=True)
class FlowMethod:
    """What the flow is computed with.

    Attributes:
        preset: of OpenCV's DIS: ``ultrafast``, ``fast`` or ``medium``.
        max_side: larger images are shrunk until their longer side has so many pixels.
        refinements: iterations of the variational refinement; None for those of the preset.
        propagation: whether patches try their neighbours' flow. Without it fewer pixels fail the
            check, whose labels agree as well.
    """

    preset: str = "fast"
    max_side: int = 256
    refinements: int | None = 2
    propagation: bool = False

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ArgumentError(
                f"optical flow preset is {self.preset!r}; expected one of {', '.join(PRESETS)}"
            )
        if self.max_side < _SMALLEST_SIDE:
            raise ArgumentError(
                f"optical flow max_side is {self.max_side}; expected at least {_SMALLEST_SIDE}"
            )
        if self.refinements is not None and self.refinements < 0:
            raise ArgumentError(
                f"optical flow refinements is {self.refinements}; expected 0 or more, or None"
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
            "refinements": self.refinements,
            "propagation": self.propagation,
            "check": f"|f + b∘f| ≤ {TOLERANCE_PX:g} px + {100 * TOLERANCE_SHARE:g} % of |f|, "
            f"in blocks of {CHECK_STEP} px",
        }


class OpticalFlow:
    """Flow between grey images; for one thread at a time."""

    def __init__(self, method: FlowMethod) -> None:
        self.method = method
        self._shape: tuple[int, ...] = ()
        self._dis: Any = None

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
        # Down to half the size, bilinear misses no pixel either, and is five times as fast.
        halved = 2 * height >= grey.shape[0] and 2 * width >= grey.shape[1]
        way = cv2.INTER_LINEAR if halved else cv2.INTER_AREA
        return cv2.resize(grey, (width, height), interpolation=way)

    def between(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Where each pixel of ``first`` went in ``second``.

        Args:
            first, second: (h, w) uint8 of the same size.

        Returns:
            (h, w, 2) float32: pixels to the right and down.
        """
        height, width = first.shape
        if self._shape != first.shape:
            # OpenCV's object changes its own settings for small images, and keeps them.
            self._shape, self._dis = first.shape, _dis(self.method)
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


def _dis(method: FlowMethod) -> Any:
    """OpenCV's object of the method."""
    made = cv2.DISOpticalFlow_create(PRESETS[method.preset])  # type: ignore[attr-defined]
    made.setUseSpatialPropagation(method.propagation)
    if method.refinements is not None:
        made.setVariationalRefinementIterations(method.refinements)
    return made


def consistent(forward: np.ndarray, backward: np.ndarray, step: int = 1) -> np.ndarray:
    """Where flow and opposite flow agree: the forward–backward check.

    Args:
        forward: (h, w, 2) float32, from one frame to another.
        backward: (h, w, 2) float32, from that other frame back.
        step: look at one pixel, near the middle, for each block of ``step``² pixels.

    Returns:
        (h, w) bool: pixels that stay in the image and that ``backward``, read bilinearly where
        ``forward`` leads, brings back to within 1 px + 1 % of the flow's length.
    """
    height, width = forward.shape[:2]
    rows, columns = _middles(height, step), _middles(width, step)
    flow_x, flow_y = cv2.split(forward.take(rows, 0).take(columns, 1))
    x, y = flow_x + columns.astype(np.float32), flow_y + rows.astype(np.float32)[:, None]
    inside: Any = cv2.inRange(x, 0.0, width - 1.0)
    inside &= cv2.inRange(y, 0.0, height - 1.0)
    missed = cv2.remap(backward, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    missed_x, missed_y = cv2.split(missed)
    missed_x += flow_x
    missed_y += flow_y
    allowed: Any = cv2.magnitude(flow_x, flow_y)
    allowed *= TOLERANCE_SHARE
    allowed += TOLERANCE_PX
    found: np.ndarray = (cv2.magnitude(missed_x, missed_y) <= allowed) & (inside > 0)
    return found.repeat(step, 0).repeat(step, 1)[:height, :width]


def _middles(length: int, step: int) -> np.ndarray:
    """The middle pixel of each block of ``step``; of the last block, if it is shorter, its end."""
    return np.minimum(np.arange(0, length, step) + (step - 1) // 2, length - 1)


def warp_ids(ids: np.ndarray, flow: np.ndarray, outside: int) -> np.ndarray:
    """Each pixel gets the id at the place its flow leads to, rounded to the nearest pixel.

    Args:
        ids: (h, w) uint8 of the frame the flow leads to.
        flow: (h, w, 2) float32.
        outside: the id of pixels whose flow leaves the image.

    Returns:
        (h, w) uint8 in the frame the flow comes from.
    """
    there = flow + _grid(*ids.shape)
    # Whole numbers, so that no version of OpenCV rounds them another way.
    return cv2.remap(
        ids,
        np.rint(there, out=there),
        None,  # type: ignore[call-overload]
        cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(outside, outside, outside, outside),
    )


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> np.ndarray:
    """(h, w, 2) float32: every pixel's own column and row; not to be written to."""
    rows, columns = np.indices((height, width), np.float32)
    return np.stack([columns, rows], -1)
