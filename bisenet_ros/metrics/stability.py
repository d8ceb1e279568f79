"""How steady masks are from frame to frame: temporal consistency, disagreement and flicker.

Temporal consistency is that of Liu, Shen, Yu and Wang, "Efficient semantic video segmentation with
per-frame inference", ECCV 2020, arXiv 2002.11433, section 4: the prediction of the next frame is
warped to this one by optical flow, and the mIoU between both is taken over all pairs of frames.
Two additions: pixels that fail the forward–backward check are left out, and the flow's method is
named. None of these figures needs truth.

Everything happens at the size at which the flow is computed, to which masks are brought by
nearest neighbour, so that the cost does not grow with the camera.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from bisenet_ros.labels import UNLABELLED
from bisenet_ros.metrics.confusion import Scores, defined, scores
from bisenet_ros.metrics.histogram import count
from bisenet_ros.metrics.optical_flow import (
    CHECK_STEP,
    FlowMethod,
    OpticalFlow,
    consistent,
    warp_ids,
)

MAX_GAP_S = 1.0  # between two frames; beyond it the camera paused and they are no pair


@dataclass(frozen=True)
class FrameStability:
    """Figures of one frame, 0–1; NaN where undefined.

    Attributes:
        consistency: mIoU between the mask before and this mask warped to it.
        disagreement: share of the pixels, among those with trustworthy flow, whose class is not
            that of the mask before, warped to this frame.
        flicker_before: flicker of the frame *before* this one: it takes the frame after to tell.
    """

    consistency: float = float("nan")
    disagreement: float = float("nan")
    flicker_before: float = float("nan")


@dataclass(frozen=True)
class StabilityScores:
    """Figures of a whole recording, 0–1; NaN where undefined.

    Attributes:
        consistency: temporal consistency of all pairs of frames; its ``miou`` is the figure.
        disagreement: share of trustworthy pixels whose class differs from the warped mask before.
        flicker: share of trustworthy pixels whose class is A, B, A in three consecutive frames.
        pairs, triples: how many of each were looked at.
        trusted: share of the pixels of all pairs that pass the forward–backward check.
        method: of the flow.
    """

    consistency: Scores
    disagreement: float
    flicker: float
    pairs: int
    triples: int
    trusted: float
    method: FlowMethod

    def figures(self, names: Sequence[str]) -> dict[str, Any]:
        """Everything as JSON values, with None where one is undefined."""
        found = self.consistency
        return {
            "temporal_consistency": defined(found.miou),
            "disagreement": defined(self.disagreement),
            "flicker": defined(self.flicker),
            "pairs": self.pairs,
            "triples": self.triples,
            "trusted_pixels": defined(self.trusted),
            "per_class": {n: defined(v) for n, v in zip(names, found.iou, strict=True)},
            "flow": self.method.figures(),
        }


@dataclass
class _Seen:
    """The newest frame: its stamp, size, grey image and mask, and the mask before warped to it.

    ``before`` holds 255 where the flow cannot be trusted; None as long as there is no pair.
    """

    stamp_ns: int
    shape: tuple[int, ...]
    grey: np.ndarray
    mask: np.ndarray
    before: np.ndarray | None = None


@dataclass
class FramePair:
    """Two consecutive frames that are to be compared, as :meth:`Stability.prepare` gives them."""

    last: _Seen
    new: _Seen


@dataclass(frozen=True, eq=False)
class WarpedPair:
    """The masks of two frames, each seen from the other.

    Attributes:
        after: (h, w) uint8 of the new frame's mask, seen from the last frame; 255 where the flow
            cannot be trusted.
        before: (h, w) uint8 of the last frame's mask, seen from the new one; 255 where the flow
            cannot be trusted.
        trusted: how many pixels of both passed the forward–backward check.
    """

    after: np.ndarray
    before: np.ndarray
    trusted: int


_LOCAL = threading.local()  # OpenCV's object is for one thread at a time


def pair_flows(pair: FramePair, method: FlowMethod) -> tuple[np.ndarray, np.ndarray]:
    """The flow from the last frame to the new one, and back; safe in several threads."""
    made: dict[FlowMethod, OpticalFlow] = _LOCAL.__dict__.setdefault("made", {})
    if method not in made:
        made[method] = OpticalFlow(method)
    flow = made[method]
    return (
        flow.between(pair.last.grey, pair.new.grey),
        flow.between(pair.new.grey, pair.last.grey),
    )


def warp_pair(pair: FramePair, flows: tuple[np.ndarray, np.ndarray]) -> WarpedPair:
    """Warp both masks; safe in several threads."""
    forward, backward = flows
    after, there = _warped(pair.new.mask, forward, backward)
    before, back = _warped(pair.last.mask, backward, forward)
    return WarpedPair(after, before, there + back)


def _warped(mask: np.ndarray, flow: np.ndarray, opposite: np.ndarray) -> tuple[np.ndarray, int]:
    """The mask the flow leads to, seen from where it comes, and how many pixels are trusted."""
    trusted = consistent(flow, opposite, CHECK_STEP)
    warped = warp_ids(mask, flow, UNLABELLED)
    doubtful = trusted.view(np.uint8) - np.uint8(1)  # 0 where it is trusted, else 255
    return warped | doubtful, int(np.count_nonzero(trusted))


@dataclass
class _Share:
    """A share of pixels, counted over many frames."""

    part: int = 0
    whole: int = 0

    def add(self, part: int, whole: int) -> float:
        self.part += part
        self.whole += whole
        return part / whole if whole else float("nan")

    @property
    def value(self) -> float:
        return self.part / self.whole if self.whole else float("nan")


class Stability:
    """Collects the figures frame by frame; keeps two frames, whatever the recording's length.

    Args:
        num_classes: of the masks.
        method: of the flow.
        max_gap_s: frames further apart, in seconds of their stamps, are no pair; neither are those
            whose stamps go back or whose size changes.
    """

    def __init__(
        self,
        num_classes: int,
        method: FlowMethod | None = None,
        max_gap_s: float = MAX_GAP_S,
    ) -> None:
        self.method = method or FlowMethod()
        self.num_classes = num_classes
        self.max_gap_ns = round(max_gap_s * 1e9)
        self._flow = OpticalFlow(self.method)
        self._confusion = np.zeros((num_classes, num_classes + 1), np.int64)
        self._differ, self._flicker, self._trusted = _Share(), _Share(), _Share()
        self._pairs = self._triples = 0
        self._last: _Seen | None = None

    def add(self, image: np.ndarray, order: str, mask: np.ndarray, stamp_ns: int) -> FrameStability:
        """Compare a frame with the one before: :meth:`prepare`, warp and :meth:`count` in one.

        Args:
            image: (H, W, 3) uint8.
            order: its channels, ``rgb`` or ``bgr``.
            mask: (H, W) uint8 ids; 255 is no class and is left out.
            stamp_ns: the frame's stamp. A frame with the stamp of the one before is passed over.
        """
        pair = self.prepare(image, order, mask, stamp_ns)
        if pair is None:
            return FrameStability()
        return self.count(pair, warp_pair(pair, pair_flows(pair, self.method)))

    def prepare(
        self, image: np.ndarray, order: str, mask: np.ndarray, stamp_ns: int
    ) -> FramePair | None:
        """Take the next frame, in order; None where it has no frame before to compare with.

        May run in another thread than :meth:`count`, ahead of it. Arguments as of :meth:`add`.
        """
        last = self._last
        if last is not None and stamp_ns == last.stamp_ns:
            return None
        height, width = self.method.size(image.shape)
        if mask.shape != (height, width):
            mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        new = _Seen(stamp_ns, image.shape, self._flow.grey(image, order), mask)
        self._last = new
        if last is None or not self._follows(last, new):
            return None
        return FramePair(last, new)

    def count(self, pair: FramePair, warped: WarpedPair) -> FrameStability:
        """Count a pair, in order."""
        pair.new.before = warped.before
        self._trusted.add(warped.trusted, 2 * warped.after.size)
        return FrameStability(
            consistency=self._add_pair(pair.last.mask, warped.after),
            disagreement=self._add_difference(pair.new),
            flicker_before=self._add_triple(pair.last, warped.after),
        )

    def scores(self) -> StabilityScores:
        """The figures so far."""
        return StabilityScores(
            consistency=scores(self._confusion),
            disagreement=self._differ.value,
            flicker=self._flicker.value,
            pairs=self._pairs,
            triples=self._triples,
            trusted=self._trusted.value,
            method=self.method,
        )

    def _follows(self, last: _Seen, new: _Seen) -> bool:
        passed = new.stamp_ns - last.stamp_ns
        return 0 < passed <= self.max_gap_ns and last.shape == new.shape

    def _add_pair(self, reference: np.ndarray, after: np.ndarray) -> float:
        self._pairs += 1
        n = self.num_classes
        counts = np.zeros((n, n + 1), np.int64)
        counts[:, :n] = count([reference, after], [n, n])  # without what cannot be trusted
        self._confusion += counts
        return scores(counts).miou if counts.any() else float("nan")

    def _add_difference(self, new: _Seen) -> float:
        assert new.before is not None
        known = (new.before != UNLABELLED) & (new.mask != UNLABELLED)
        differ = known & (new.before != new.mask)
        return self._differ.add(int(np.count_nonzero(differ)), int(np.count_nonzero(known)))

    def _add_triple(self, middle: _Seen, after: np.ndarray) -> float:
        if middle.before is None:
            return float("nan")
        self._triples += 1
        known = (middle.before != UNLABELLED) & (middle.mask != UNLABELLED) & (after != UNLABELLED)
        returned = known & (middle.before == after) & (middle.mask != after)
        return self._flicker.add(int(np.count_nonzero(returned)), int(np.count_nonzero(known)))
