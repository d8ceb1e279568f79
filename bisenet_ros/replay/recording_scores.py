"""Scores of a whole recording: collected frame by frame, told as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bisenet_ros.labels import LabelSet
from bisenet_ros.metrics import boundary
from bisenet_ros.metrics.calibration import Calibration
from bisenet_ros.metrics.confusion import Scores, defined, per_class, scores
from bisenet_ros.metrics.optical_flow import FlowMethod
from bisenet_ros.metrics.percentiles import percentiles
from bisenet_ros.metrics.ranking import MIN_GAP_S, highest, instability, lowest
from bisenet_ros.metrics.stability import MAX_GAP_S, FramePair, Stability, StabilityScores
from bisenet_ros.metrics.video_consistency import VideoConsistency
from bisenet_ros.recordings.frame_stream import RecordedFrame
from bisenet_ros.replay.frame_scores import TIMES, FrameMeasures, FrameRecords
from bisenet_ros.replay.predictor import Prediction


@dataclass(frozen=True)
class RecordingScores:
    """What was measured of one model on one recording.

    Attributes:
        labels: class names and colours.
        records: the figures of each frame.
        confusion: (n, n + 1) int64 over all labelled frames.
        stability: figures over time; None where frames are no neighbours in time.
        video_consistency: VC_n by n; NaN unless every frame is labelled. Empty where
            frames are no neighbours in time.
        calibration: counts of labelled pixels by confidence.
        tolerances: pixels that boundaries may be off, of each size of image.
    """

    labels: LabelSet
    records: FrameRecords
    confusion: np.ndarray
    stability: StabilityScores | None
    video_consistency: dict[int, float]
    calibration: Calibration
    tolerances: tuple[int, ...]

    @property
    def frames(self) -> int:
        """How many frames were scored, with or without truth."""
        return len(self.records)

    @property
    def labelled_frames(self) -> int:
        """How many of them have a label."""
        return int(np.count_nonzero(self.records.column("labelled")))

    @property
    def scores(self) -> Scores | None:
        """Scores over all labelled pixels; None if there is none."""
        return scores(self.confusion) if self.confusion.any() else None

    @property
    def instability(self) -> np.ndarray:
        """(F,) how suspicious each frame is without truth, 0–1; NaN where unknown."""
        column = self.records.column
        return instability(column("flicker"), column("confidence"), column("disagreement"))

    def worst(self, count: int = 8) -> list[int]:
        """Places of the frames with the lowest mIoU, lowest first, at least 1 s apart."""
        stamps = self.records.column("stamp_ns")
        return lowest(self.records.column("miou"), stamps, count, self._gap_s)

    def most_unstable(self, count: int = 8) -> list[int]:
        """Places of the most suspicious frames, at least 1 s apart."""
        stamps = self.records.column("stamp_ns")
        return highest(self.instability, stamps, count, self._gap_s)

    @property
    def _gap_s(self) -> float:
        """Least distance of frames worth looking at; those that no clock connects need none."""
        return MIN_GAP_S if self.stability is not None else 0.0

    def figures(self) -> dict[str, Any]:
        """Everything but the single frames as JSON values, with None where one is undefined.

        Without labelled pixels, all that needs truth is None.
        """
        names = self.labels.names
        column = self.records.column
        shares = self.records.shares
        return {
            "frames": self.frames,
            "labelled_frames": self.labelled_frames,
            "classes": list(names),
            **self._truth_figures(),
            "stability": None if self.stability is None else self.stability.figures(names),
            "video_consistency": {
                f"vc_{n}": defined(value) for n, value in self.video_consistency.items()
            },
            "confidence": percentiles(column("confidence"), (5, 50, 95)),
            "class_shares": {
                name: float(shares[:, i].mean(dtype=np.float64)) if len(shares) else None
                for i, name in enumerate(names)
            },
            "stage_ms": {time: percentiles(column(f"{time}_ms")) for time in TIMES},
            "worst": [self.records.row(place) for place in self.worst()],
            "most_unstable": [self.records.row(place) for place in self.most_unstable()],
        }

    def _truth_figures(self) -> dict[str, Any]:
        found = self.scores
        if found is None:
            return {
                "miou": None,
                "pixel_accuracy": None,
                "frequency_weighted_iou": None,
                "boundary_f": None,
                "per_class": None,
                "confusion": None,
                "calibration": None,
                "boundary_tolerance_px": [],
                "labelled_pixels": 0,
            }
        edges = boundary.summarise(list(self.records.boundary), len(self.labels))
        return {
            "miou": defined(found.miou),
            "pixel_accuracy": defined(found.pixel_accuracy),
            "frequency_weighted_iou": defined(found.frequency_weighted_iou),
            "boundary_f": defined(edges.mean),
            "per_class": per_class(found, self.labels.names, boundary_f=edges.f),
            "confusion": found.confusion.tolist(),
            "calibration": self.calibration.figures(self.labels.names),
            "boundary_tolerance_px": list(self.tolerances),
            "labelled_pixels": int(found.confusion.sum()),
        }


class Collector:
    """Takes frames in order and holds what :class:`RecordingScores` is made of.

    Args:
        labels: of the model.
        temporal: whether neighbouring frames are neighbours in time.
        flow: the method of the figures over time.
    """

    def __init__(
        self, labels: LabelSet, temporal: bool = True, flow: FlowMethod | None = None
    ) -> None:
        n = len(labels)
        self.labels = labels
        self.records = FrameRecords(n)
        self._confusion = np.zeros((n, n + 1), np.int64)
        self._calibration = Calibration(n)
        self._stability = Stability(n, flow) if temporal else None
        self._constancy = VideoConsistency() if temporal else None
        self._tolerances: set[int] = set()
        self._last_ns: int | None = None

    def prepare(self, frame: RecordedFrame, prediction: Prediction) -> FramePair | None:
        """Take the next frame ahead of :meth:`add`, to find the one that it is compared with."""
        if self._stability is None:
            return None
        return self._stability.prepare(frame.image, frame.order, prediction.mask, frame.stamp_ns)

    def add(self, frame: RecordedFrame, prediction: Prediction, found: FrameMeasures) -> None:
        """Add the next frame."""
        self.records.add(frame, prediction, found)
        if frame.truth is not None and found.confusion is not None:
            self._confusion += found.confusion
            self._tolerances.add(boundary.tolerance(frame.image.shape))
            if found.levels is not None:
                self._calibration.add_counts(found.levels)
        if self._stability is not None:
            self._look_back(frame, prediction, found)
        self._last_ns = frame.stamp_ns

    def scores(self) -> RecordingScores:
        """The scores so far."""
        constancy = self._constancy
        return RecordingScores(
            labels=self.labels,
            records=self.records,
            confusion=self._confusion,
            stability=None if self._stability is None else self._stability.scores(),
            video_consistency=(
                {} if constancy is None else {n: constancy.score(n) for n in constancy.windows}
            ),
            calibration=self._calibration,
            tolerances=tuple(sorted(self._tolerances)),
        )

    def _look_back(
        self, frame: RecordedFrame, prediction: Prediction, found: FrameMeasures
    ) -> None:
        assert self._stability is not None and self._constancy is not None
        mask = prediction.mask
        if found.pair is not None and found.warped is not None:
            steady = self._stability.count(found.pair, found.warped)
            self.records.set(-1, "consistency", steady.consistency)
            self.records.set(-1, "disagreement", steady.disagreement)
            if len(self.records) > 1 and not math.isnan(steady.flicker_before):
                self.records.set(-2, "flicker", steady.flicker_before)
        passed = None if self._last_ns is None else frame.stamp_ns - self._last_ns
        follows = passed is not None and 0 < passed <= MAX_GAP_S * 1e9
        self._constancy.add(frame.truth, mask, follows)
