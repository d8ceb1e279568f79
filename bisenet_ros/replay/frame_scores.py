"""What is measured of one frame by itself, and small records of all frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bisenet_ros.metrics import boundary
from bisenet_ros.metrics.bootstrap import class_counts
from bisenet_ros.metrics.calibration import LEVELS, level_counts
from bisenet_ros.metrics.confusion import (
    confusion_matrix,
    confusion_of_errors,
    defined,
    mean,
    scores,
)
from bisenet_ros.metrics.growing import GrowingArray
from bisenet_ros.metrics.histogram import count
from bisenet_ros.metrics.stability import FramePair, WarpedPair
from bisenet_ros.recordings.frame_stream import RecordedFrame
from bisenet_ros.replay.predictor import STAGES, Prediction

# Figures of a frame in the order of frames.csv; NaN where undefined.
FIGURES = (
    "miou",
    "pixel_accuracy",
    "boundary_f",
    "confidence",
    "consistency",
    "disagreement",
    "flicker",
)
TIMES = ("decode", *STAGES, "score")  # stages, in ms
_RECORD = np.dtype(
    [
        ("index", np.int64),
        ("stamp_ns", np.int64),
        ("height", np.int32),
        ("width", np.int32),
        ("labelled", np.bool_),
        *[(name, np.float64) for name in FIGURES],
        *[(f"{name}_ms", np.float32) for name in TIMES],
    ]
)


@dataclass(frozen=True)
class FrameMeasures:
    """Figures of one frame that need no other frame.

    Attributes:
        shares: (n,) float32, each class's share of the pixels of the mask.
        confidence: mean probability of the mask's classes, 0–1; NaN if unknown.
        levels: (n, 256, 3) int64 of :func:`.level_counts`; None if the confidence is unknown.
        confusion: (n, n + 1) int64; None without truth.
        boundary: (n,) float64 boundary F-scores; None without truth, or if not asked for.
        pair, warped: this frame and the one before, their masks warped to each other; None where
            they are no neighbours in time.
    """

    shares: np.ndarray
    confidence: float
    levels: np.ndarray | None
    confusion: np.ndarray | None
    boundary: np.ndarray | None
    pair: FramePair | None = None
    warped: WarpedPair | None = None


def measure(
    frame: RecordedFrame, prediction: Prediction, num_classes: int, boundaries: bool
) -> FrameMeasures:
    """Measure one frame; safe to call from several threads at once."""
    mask, truth = prediction.mask, frame.truth
    levels, confidence, confusion = None, float("nan"), None
    if prediction.confidence is None:
        pixels = count([mask], [num_classes])
        if truth is not None:
            confusion = confusion_matrix(truth, mask, num_classes)
    else:
        levels = level_counts(mask, prediction.confidence, truth, num_classes)
        pixels = levels.sum((1, 2))
        if pixels.any():
            total = int(levels.sum((0, 2)) @ np.arange(LEVELS))
            confidence = total / (LEVELS - 1) / int(pixels.sum())
        if truth is not None:
            confusion = confusion_of_errors(truth, mask, levels[..., 1].sum(1), num_classes)
    edges = None
    if truth is not None and boundaries:
        edges = boundary.boundary_f(truth, mask, num_classes)
    shares = (pixels / mask.size).astype(np.float32)
    return FrameMeasures(shares, confidence, levels, confusion, edges)


class FrameRecords:
    """A few hundred bytes per frame of a recording, whatever the images' size.

    Args:
        num_classes: of the masks.
    """

    def __init__(self, num_classes: int) -> None:
        self._rows = GrowingArray(_RECORD)
        self._shares = GrowingArray(np.float32, (num_classes,))
        self._counts = GrowingArray(np.uint32, (3, num_classes))
        self._boundary = GrowingArray(np.float64, (num_classes,))
        self._names: dict[int, str] = {}
        self._num_classes = num_classes

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, frame: RecordedFrame, prediction: Prediction, found: FrameMeasures) -> None:
        """Note a frame; figures over time are filled in with :meth:`set`."""
        row = np.full((), np.nan, np.float64)
        record = np.zeros((), _RECORD)
        for name in (*FIGURES, *(f"{time}_ms" for time in TIMES)):
            record[name] = row
        record["index"], record["stamp_ns"] = frame.index, frame.stamp_ns
        record["height"], record["width"] = frame.image.shape[:2]
        record["confidence"] = found.confidence
        record["decode_ms"] = frame.decode_ms
        for stage, milliseconds in prediction.stage_ms.items():
            record[f"{stage}_ms"] = milliseconds
        counts = np.zeros((3, self._num_classes), np.uint32)
        edges = np.full(self._num_classes, np.nan)
        if found.confusion is not None:
            record["labelled"] = True
            counts[:] = class_counts(found.confusion)
            if found.confusion.any():
                scored = scores(found.confusion)
                record["miou"] = scored.miou
                record["pixel_accuracy"] = scored.pixel_accuracy
        if found.boundary is not None:
            edges[:] = found.boundary
            record["boundary_f"] = mean(found.boundary)
        if frame.name:
            self._names[len(self._rows)] = frame.name
        self._rows.append(record)
        self._shares.append(found.shares)
        self._counts.append(counts)
        self._boundary.append(edges)

    def set(self, place: int, name: str, value: float) -> None:
        """Fill in a figure of a frame; ``place`` counts from 0, or back from −1."""
        self._rows.values[name][place] = value

    def column(self, name: str) -> np.ndarray:
        """(F,) of one figure, of ``index``, ``stamp_ns``, ``labelled`` or of a stage's ``_ms``."""
        return self._rows.values[name]

    @property
    def shares(self) -> np.ndarray:
        """(F, n) float32: each class's share of each mask."""
        return self._shares.values

    @property
    def counts(self) -> np.ndarray:
        """(F, 3, n) uint32: what :func:`bisenet_ros.metrics.bootstrap.class_counts` gives."""
        return self._counts.values

    @property
    def boundary(self) -> np.ndarray:
        """(F, n) float64: boundary F-scores."""
        return self._boundary.values

    def name(self, place: int) -> str:
        """What to call a frame; empty where it has only a stamp."""
        return self._names.get(place, "")

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Lines of frames.csv, one per frame, with None where a figure is undefined.

        Args:
            names: of the classes, for the columns of their shares.
        """
        for place in range(len(self)):
            yield self.row(place, names)

    def row(self, place: int, names: Sequence[str] = ()) -> dict[str, Any]:
        """One frame's figures; without ``names``, without the shares of the classes."""
        record = self._rows.values[place]
        found: dict[str, Any] = {
            "index": int(record["index"]),
            "stamp_ns": int(record["stamp_ns"]),
            "name": self.name(place),
            "width": int(record["width"]),
            "height": int(record["height"]),
            "labelled": bool(record["labelled"]),
        }
        for name in (*FIGURES, *(f"{time}_ms" for time in TIMES)):
            found[name] = defined(float(record[name]))
        for number, name in enumerate(names):
            found[f"share_{name}"] = float(self.shares[place, number])
        return found
