"""Whether a confidence of 80 % is right 80 % of the time.

Expected calibration error as in Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural
networks", ICML 2017, arXiv 1706.04599, section 2: Σ b_i · |accuracy_i − confidence_i| over equal
bins of the winning class's probability, where b_i is the share of the pixels in bin i.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bisenet_ros.labels import UNLABELLED
from bisenet_ros.metrics.confusion import defined
from bisenet_ros.metrics.histogram import count

BINS = 15
LEVELS = 256  # of a confidence, which is a byte: probability · 255, rounded


@dataclass(frozen=True)
class Reliability:
    """Bins of confidence, for a reliability diagram; NaN where a bin is empty.

    Attributes:
        edges: (bins + 1,) float64, 0–1. Bin i holds what is above its lower edge, up to its upper
            edge; the first holds 0, too.
        share: (bins,) share of the pixels; sums to 1 unless there are none.
        confidence: (bins,) mean confidence.
        accuracy: (bins,) share of right pixels.
    """

    edges: np.ndarray
    share: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error, 0–1; NaN without pixels."""
        if not self.share.any():
            return float("nan")
        return float(np.nansum(self.share * np.abs(self.accuracy - self.confidence)))


def level_counts(
    mask: np.ndarray, confidence: np.ndarray, truth: np.ndarray | None, num_classes: int
) -> np.ndarray:
    """Pixels by predicted class, confidence byte, and wrong, right, or without truth.

    Args:
        mask: (H, W) uint8 ids; those from ``num_classes`` on are left out.
        confidence: (H, W) uint8: probability of the mask's class · 255, rounded.
        truth: (H, W) uint8 ids; 255 is no truth. None: there is none.
        num_classes: how many ids are counted.

    Returns:
        (num_classes, 256, 3) int64.
    """
    if truth is None:
        counted = np.zeros((num_classes, LEVELS, 3), np.int64)
        counted[..., 2] = count([mask, confidence], [num_classes, LEVELS])
        return counted
    verdict = (truth == UNLABELLED).view(np.uint8)
    verdict += verdict
    np.maximum(verdict, (truth == mask).view(np.uint8), out=verdict)
    return count([mask, confidence, verdict], [num_classes, LEVELS, 3])


class Calibration:
    """Counts labelled pixels by predicted class, confidence and rightness; no list of pixels.

    Args:
        num_classes: of the masks.
        bins: how many equal bins of confidence there are.

    Attributes:
        counts: (num_classes, 256, 2) int64: by predicted class, confidence byte, and wrong or
            right.
    """

    def __init__(self, num_classes: int, bins: int = BINS) -> None:
        self.bins = bins
        self.counts = np.zeros((num_classes, LEVELS, 2), np.int64)

    def add(self, truth: np.ndarray, mask: np.ndarray, confidence: np.ndarray) -> None:
        """Count the pixels of a frame.

        Args:
            truth: (H, W) uint8 ids; 255 is left out.
            mask: (H, W) uint8 ids; 255 is left out.
            confidence: (H, W) uint8: probability of the mask's class · 255, rounded.
        """
        self.add_counts(level_counts(mask, confidence, truth, len(self.counts)))

    def add_counts(self, counted: np.ndarray) -> None:
        """Add what :func:`level_counts` counted in a frame with truth."""
        self.counts += counted[..., :2]

    def reliability(self, predicted: int | None = None) -> Reliability:
        """The bins of all pixels, or of those of one predicted class."""
        counts = self.counts.sum(0) if predicted is None else self.counts[predicted]
        levels = np.arange(LEVELS)
        # The bins are open below: level 17 of 255 is exactly 1/15, and belongs to the first of 15.
        bins = np.maximum(0, -(-levels * self.bins // (LEVELS - 1)) - 1)
        pixels = counts.sum(1)

        def summed(weights: np.ndarray) -> np.ndarray:
            return np.bincount(bins, weights, minlength=self.bins)

        held = summed(pixels)
        with np.errstate(invalid="ignore", divide="ignore"):
            return Reliability(
                edges=np.linspace(0, 1, self.bins + 1),
                share=held / max(1, held.sum()),
                confidence=summed(pixels * levels / (LEVELS - 1)) / held,
                accuracy=summed(counts[:, 1]) / held,
            )

    def figures(self, names: Sequence[str]) -> dict[str, Any]:
        """Everything as JSON values, with None where one is undefined."""
        found = self.reliability()
        pixels = int(self.counts.sum())
        confident = (self.counts.sum((0, 2)) * np.arange(LEVELS)).sum() / (LEVELS - 1)
        return {
            "expected_calibration_error": defined(found.error),
            "mean_confidence": float(confident) / pixels if pixels else None,
            "accuracy": int(self.counts[..., 1].sum()) / pixels if pixels else None,
            "pixels": pixels,
            "per_class": {name: defined(self.reliability(i).error) for i, name in enumerate(names)},
            "bins": [
                {
                    "low": float(found.edges[i]),
                    "high": float(found.edges[i + 1]),
                    "share": float(found.share[i]),
                    "confidence": defined(found.confidence[i]),
                    "accuracy": defined(found.accuracy[i]),
                }
                for i in range(self.bins)
            ],
        }
