"""Scores a stream of masks against a stream of labels, paired by header stamp."""

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

PENDING_BYTES = 64 << 20  # of unpaired masks, and the same of unpaired labels
MAX_FRAMES = 100_000  # whose scores are kept: nearly two hours at 15 Hz
FOREIGN_CLOCK_MS = 3_600_000  # a larger age means that stamps use another clock, not lateness


@dataclass
class ScoredFrame:
    """Data of one mask; scores are None until a label with its stamp arrives.

    Attributes:
        stamp: header stamp, ns.
        age_ms: from stamp to arrival, on the node's clock; None before sim time has begun.
        arrived_s: arrival time, seconds after the first mask's.
        width, height, encoding, frame_id: as in the message.
        classes: number of classes present in mask or label.
        miou: mean IoU over these classes.
        pixel_accuracy: fraction of labelled pixels whose class is correct.
    """

    stamp: int
    age_ms: float | None
    arrived_s: float
    width: int
    height: int
    encoding: str
    frame_id: str
    classes: int | None = None
    miou: float | None = None
    pixel_accuracy: float | None = None


class PendingImage(NamedTuple):
    """An unpaired mask or label; ``frame`` is set for masks."""

    image: np.ndarray
    frame: ScoredFrame | None = None


class PendingImages:
    """Unpaired images by stamp; the oldest are dropped beyond a size, so memory stays bounded."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit = limit_bytes
        self.images: OrderedDict[int, PendingImage] = OrderedDict()
        self.bytes = 0
        self.dropped = 0

    def put(self, stamp: int, pending: PendingImage) -> None:
        """Store ``pending``; an unpaired image with the same stamp is dropped."""
        self.dropped += self.take(stamp) is not None
        self.images[stamp] = pending
        self.bytes += pending.image.nbytes
        while self.bytes > self.limit and len(self.images) > 1:
            self.take(next(iter(self.images)))
            self.dropped += 1

    def take(self, stamp: int) -> PendingImage | None:
        """Remove and return the image with this stamp, or None."""
        pending = self.images.pop(stamp, None)
        self.bytes -= 0 if pending is None else pending.image.nbytes
        return pending

    @property
    def unmatched(self) -> int:
        """Images that have not been paired so far, dropped ones included."""
        return self.dropped + len(self.images)


class Scorer:
    """Pairs masks with labels, whichever arrives first, and counts all messages.

    The confusion matrix covers all 255 ids, so that scoring does not wait for the class names.
    """

    def __init__(self, pending_bytes: int = PENDING_BYTES, max_frames: int = MAX_FRAMES) -> None:
        self.masks = self.labels = self.scored = 0
        self.refused: Counter[str] = Counter()
        self.confusion = np.zeros((UNLABELLED, UNLABELLED + 1), np.int64)
        self.frames: deque[ScoredFrame] = deque(maxlen=max_frames)
        self._pending_masks = PendingImages(pending_bytes)
        self._pending_labels = PendingImages(pending_bytes)
        self._label_stamps: deque[int] = deque(maxlen=max_frames)
        self._first_s = self._last_s = 0.0

    def add_mask(self, mask: np.ndarray, frame: ScoredFrame) -> None:
        """Count a new mask, (H, W) uint8, and score it if its label has arrived."""
        self._first_s = self._first_s if self.masks else frame.arrived_s
        self._last_s = frame.arrived_s
        self.masks += 1
        self.frames.append(frame)
        label = self._pending_labels.take(frame.stamp)
        if label is None:
            self._pending_masks.put(frame.stamp, PendingImage(mask, frame))
        else:
            self._score(frame, mask, label.image)

    def add_label(self, stamp: int, label: np.ndarray) -> None:
        """Count a label: ids (H, W) uint8, or the bytes (n,) of a PNG, decoded when needed."""
        self.labels += 1
        self._label_stamps.append(stamp)
        mask = self._pending_masks.take(stamp)
        if mask is None or mask.frame is None:
            self._pending_labels.put(stamp, PendingImage(label))
        else:
            self._score(mask.frame, mask.image, label)

    def refuse(self, reason: str) -> None:
        """Count a message that cannot be used."""
        self.refused[reason] += 1

    def label_offset_ms(self) -> float | None:
        """How far the nearest label of a mask without one is, in ms, median; None if none is."""
        masks = np.array(list(self._pending_masks.images), np.int64)
        labels = np.sort(np.array(self._label_stamps, np.int64))
        if not masks.size or not labels.size:
            return None
        after = np.minimum(np.searchsorted(labels, masks), labels.size - 1)
        before = np.maximum(after - 1, 0)
        nearest = np.minimum(np.abs(labels[after] - masks), np.abs(labels[before] - masks))
        return float(np.median(nearest)) / 1e6

    def _score(self, frame: ScoredFrame, mask: np.ndarray, label: np.ndarray) -> None:
        try:
            truth = decode_ids(label) if label.ndim == 1 else label
        except DataError as error:
            return self.refuse(str(error))
        if truth.shape != mask.shape:
            sizes = (f"{a.shape[1]}×{a.shape[0]}" for a in (mask, truth))
            return self.refuse("mask is {} but label is {}".format(*sizes))
        counts = confusion_matrix(truth, mask, UNLABELLED)
        self.confusion += counts
        self.scored += 1
        if counts.any():
            result = scores(counts)
            frame.classes = int(np.count_nonzero(~np.isnan(result.iou)))
            frame.miou, frame.pixel_accuracy = result.miou, result.pixel_accuracy
        return None

    def scores(self, num_classes: int | None = None) -> Scores:
        """Scores so far over ``num_classes``, or over the ids seen if that is not known."""
        n = num_classes or self._classes_seen()
        known = self.confusion[:n]
        other = known[:, n:].sum(1, keepdims=True)  # unlabelled, or not a class of this set
        return scores(np.concatenate([known[:, :n], other], 1))

    def report(self, labels: LabelSet | None) -> dict[str, Any]:
        """:meth:`figures` and those of each frame."""
        return {**self.figures(labels), "frames": [asdict(frame) for frame in self.frames]}

    def figures(self, labels: LabelSet | None) -> dict[str, Any]:
        """Counts and scores as JSON values, with None for undefined ones."""
        n = len(labels) if labels else self._classes_seen()
        result = self.scores(n)
        ages = [f.age_ms for f in self.frames if f.age_ms is not None]
        ages = [age for age in ages if abs(age) < FOREIGN_CLOCK_MS]
        span = self._last_s - self._first_s
        return {
            "masks": self.masks,
            "labels": self.labels,
            "scored": self.scored,
            "unmatched_masks": self._pending_masks.unmatched,
            "unmatched_labels": self._pending_labels.unmatched,
            "refused": dict(self.refused),
            "unknown_label_pixels": int(self.confusion[n:].sum()),
            "output_fps": (self.masks - 1) / span if span > 0 else None,
            "age_ms_p50": float(np.percentile(ages, 50)) if ages else None,
            "age_ms_p95": float(np.percentile(ages, 95)) if ages else None,
            "miou": defined(result.miou),
            "pixel_accuracy": defined(result.pixel_accuracy),
            "per_class": per_class(result, class_names(labels, n)),
            "confusion": result.confusion.tolist(),
        }

    def _classes_seen(self) -> int:
        seen = self.confusion[:, :UNLABELLED].sum(0) + self.confusion.sum(1)
        return int(np.flatnonzero(seen).max(initial=0)) + 1


def class_names(labels: LabelSet | None, n: int) -> tuple[str, ...]:
    """The names of a label set, or ``class 0`` and so on if there is none."""
    return labels.names if labels else tuple(f"class {i}" for i in range(n))
