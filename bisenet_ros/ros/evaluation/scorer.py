"""Scores a stream of masks against a stream of labels, paired by their stamps."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED, LabelSet
from bisenet_ros.metrics.confusion import (
    Scores,
    confusion_matrix,
    defined,
    per_class,
    scores,
)
from bisenet_ros.recordings.codec import decode_ids

WAITING_BYTES = 64 << 20  # of masks and of labels whose other half has not come yet
REMEMBERED = 100_000  # frames whose figures are kept: nearly two hours at 15 Hz
FOREIGN_CLOCK_MS = 3_600_000  # an age beyond this says that stamp and clock differ, not lateness


@dataclass
class ScoredFrame:
    """Figures of one mask; scores are None as long as no label of its stamp came.

    Attributes:
        stamp: header stamp, ns.
        age_ms: stamp to arrival here, on the clock of the stamps.
        arrived_s: arrival, seconds after the first mask's.
        width, height, encoding, frame_id: as in the message.
        classes: how many classes occur in mask or label.
        miou: mean IoU over those.
        pixel_accuracy: share of labelled pixels whose class is right.
    """

    stamp: int
    age_ms: float
    arrived_s: float
    width: int
    height: int
    encoding: str
    frame_id: str
    classes: int | None = None
    miou: float | None = None
    pixel_accuracy: float | None = None


class PendingImage(NamedTuple):
    """An image without its other half; masks bring their figures along."""

    image: np.ndarray
    frame: ScoredFrame | None = None


class Waiting:
    """Halves by stamp; the oldest give way beyond a size, so that memory stays bounded."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit = limit_bytes
        self.halves: OrderedDict[int, PendingImage] = OrderedDict()
        self.bytes = 0
        self.given_up = 0

    def put(self, stamp: int, half: PendingImage) -> None:
        """Keep ``half``; one of the same stamp that still waits is given up."""
        self.given_up += self.take(stamp) is not None
        self.halves[stamp] = half
        self.bytes += half.image.nbytes
        while self.bytes > self.limit and len(self.halves) > 1:
            self.take(next(iter(self.halves)))
            self.given_up += 1

    def take(self, stamp: int) -> PendingImage | None:
        """The half of that stamp, which waits no longer, or None."""
        half = self.halves.pop(stamp, None)
        self.bytes -= 0 if half is None else half.image.nbytes
        return half

    @property
    def unmatched(self) -> int:
        """Halves whose other half never came, so far."""
        return self.given_up + len(self.halves)


class Scorer:
    """Pairs masks with labels in whatever order they come, and counts everything that came.

    The confusion matrix covers all 255 ids, so that scoring does not wait for the class names.
    """

    def __init__(self, waiting_bytes: int = WAITING_BYTES, remembered: int = REMEMBERED) -> None:
        self.masks = self.labels = self.scored = 0
        self.refused: Counter[str] = Counter()
        self.confusion = np.zeros((UNLABELLED, UNLABELLED + 1), np.int64)
        self.frames: deque[ScoredFrame] = deque(maxlen=remembered)
        self._waiting_masks = Waiting(waiting_bytes)
        self._waiting_labels = Waiting(waiting_bytes)
        self._first_s = self._last_s = 0.0

    def add_mask(self, mask: np.ndarray, frame: ScoredFrame) -> None:
        """Count a mask (H, W) uint8 that has just come, and score it if its label is there."""
        self._first_s = self._first_s if self.masks else frame.arrived_s
        self._last_s = frame.arrived_s
        self.masks += 1
        self.frames.append(frame)
        label = self._waiting_labels.take(frame.stamp)
        if label is None:
            self._waiting_masks.put(frame.stamp, PendingImage(mask, frame))
        else:
            self._score(frame, mask, label.image)

    def add_label(self, stamp: int, label: np.ndarray) -> None:
        """Count a label: ids (H, W) uint8, or the bytes (n,) of a PNG, decoded when needed."""
        self.labels += 1
        mask = self._waiting_masks.take(stamp)
        if mask is None or mask.frame is None:
            self._waiting_labels.put(stamp, PendingImage(label))
        else:
            self._score(mask.frame, mask.image, label)

    def refuse(self, reason: str) -> None:
        """Count a message that cannot be used."""
        self.refused[reason] += 1

    def _score(self, frame: ScoredFrame, mask: np.ndarray, label: np.ndarray) -> None:
        try:
            truth = decode_ids(label) if label.ndim == 1 else label
        except DataError as error:
            return self.refuse(str(error))
        if truth.shape != mask.shape:
            sizes = (f"{a.shape[1]}×{a.shape[0]}" for a in (mask, truth))
            return self.refuse("mask of {} but label of {}".format(*sizes))
        counts = confusion_matrix(truth, mask, UNLABELLED)
        self.confusion += counts
        self.scored += 1
        if counts.any():
            found = scores(counts)
            frame.classes = int(np.count_nonzero(~np.isnan(found.iou)))
            frame.miou, frame.pixel_accuracy = found.miou, found.pixel_accuracy
        return None

    def scores(self, num_classes: int | None = None) -> Scores:
        """Scores so far over ``num_classes``, or over the ids seen where that is not known."""
        n = num_classes or self._classes_seen()
        known = self.confusion[:n]
        other = known[:, n:].sum(1, keepdims=True)  # unlabelled, or no class of this set
        return scores(np.concatenate([known[:, :n], other], 1))

    def report(self, labels: LabelSet | None) -> dict[str, Any]:
        """:meth:`figures` and those of each frame."""
        return {**self.figures(labels), "frames": [asdict(frame) for frame in self.frames]}

    def figures(self, labels: LabelSet | None) -> dict[str, Any]:
        """Counts and scores as JSON values, with None where one is undefined."""
        n = len(labels) if labels else self._classes_seen()
        found = self.scores(n)
        ages = np.array([frame.age_ms for frame in self.frames])
        ours = ages.size > 0 and bool(np.all(np.abs(ages) < FOREIGN_CLOCK_MS))
        span = self._last_s - self._first_s
        return {
            "masks": self.masks,
            "labels": self.labels,
            "scored": self.scored,
            "unmatched_masks": self._waiting_masks.unmatched,
            "unmatched_labels": self._waiting_labels.unmatched,
            "refused": dict(self.refused),
            "unknown_label_pixels": int(self.confusion[n:].sum()),
            "output_fps": (self.masks - 1) / span if span > 0 else None,
            "age_ms_p50": float(np.percentile(ages, 50)) if ours else None,
            "age_ms_p95": float(np.percentile(ages, 95)) if ours else None,
            "miou": defined(found.miou),
            "pixel_accuracy": defined(found.pixel_accuracy),
            "per_class": per_class(found, class_names(labels, n)),
            "confusion": found.confusion.tolist(),
        }

    def _classes_seen(self) -> int:
        seen = self.confusion[:, :UNLABELLED].sum(0) + self.confusion.sum(1)
        return int(np.flatnonzero(seen).max(initial=0)) + 1


def class_names(labels: LabelSet | None, n: int) -> tuple[str, ...]:
    """The names of a label set, or ``class 0`` and so on where there is none."""
    return labels.names if labels else tuple(f"class {i}" for i in range(n))
