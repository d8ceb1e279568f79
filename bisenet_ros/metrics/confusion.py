"""Scores from a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bisenet_ros.labels import UNLABELLED
from bisenet_ros.metrics.histogram import count


@dataclass(frozen=True)
class Scores:
    """Scores of a confusion matrix.

    Attributes:
        miou: mean IoU over the classes that occur in truth or prediction, 0–1.
        pixel_accuracy: share of labelled pixels with the right class.
        frequency_weighted_iou: mean IoU over the classes that occur in the truth, weighted
            by their share of the labelled pixels (Long, Shelhamer, Darrell, arXiv 1411.4038, §5).
        iou, precision, recall: (n,) float64, NaN where undefined.
        confusion: rows truth, columns prediction, int64: (n, n), or (n, n + 1) where the last
            column counts labelled pixels that were predicted as unlabelled.
    """

    miou: float
    pixel_accuracy: float
    frequency_weighted_iou: float
    iou: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    confusion: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """(n,) float64: each class's share of the labelled pixels; 0 where there are none."""
        truth = self.confusion.sum(1)
        return truth / max(1, truth.sum())


def scores(confusion: np.ndarray) -> Scores:
    """Scores of a confusion matrix (n, n), rows truth, columns prediction.

    An unlabelled prediction on a labelled pixel belongs in a last, extra column: pass (n, n + 1)
    and it counts as a miss of the true class.
    """
    n = confusion.shape[0]
    hits = np.diagonal(confusion).astype(np.float64)
    truth = confusion.sum(1).astype(np.float64)
    predicted = confusion.sum(0).astype(np.float64)[:n]
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = hits / (truth + predicted - hits)
        precision, recall = hits / predicted, hits / truth
        accuracy = hits.sum() / truth.sum()
        weighted = (truth * np.nan_to_num(iou)).sum() / truth.sum()
    return Scores(mean(iou), float(accuracy), float(weighted), iou, precision, recall, confusion)


def mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def confusion_matrix(truth: np.ndarray, mask: np.ndarray, num_classes: int) -> np.ndarray:
    """Count pixels by true and predicted class.

    Args:
        truth: uint8 ids of any shape; 255 is ignored.
        mask: uint8 ids of the same shape; 255 is counted in the last column.

    Returns:
        (num_classes, num_classes + 1) int64.
    """
    width = num_classes + 1
    return count([truth, np.minimum(mask, num_classes)], [num_classes, width])


def confusion_of_errors(
    truth: np.ndarray, mask: np.ndarray, hits: np.ndarray, num_classes: int
) -> np.ndarray:
    """What :func:`confusion_matrix` gives, where the right pixels of each class are known.

    Args:
        truth, mask: as there.
        hits: (num_classes,) how many pixels of each class are right.
        num_classes: how many classes there are.
    """
    flat_truth, flat_mask = truth.reshape(-1), mask.reshape(-1)
    wrong = np.flatnonzero((flat_truth != flat_mask) & (flat_truth != UNLABELLED))
    width = num_classes + 1
    pairs = flat_truth[wrong].astype(np.int64) * width + np.minimum(flat_mask[wrong], num_classes)
    found = np.bincount(pairs, minlength=num_classes * width).reshape(num_classes, width)
    found[np.arange(num_classes), np.arange(num_classes)] += hits
    return found


def per_class(
    found: Scores, names: Sequence[str], **more: np.ndarray
) -> dict[str, dict[str, float | None]]:
    """IoU, precision, recall and share of the labelled pixels, by class name.

    ``more`` are further figures by name, (n,) float64 each.
    """
    columns = {
        "iou": found.iou,
        "precision": found.precision,
        "recall": found.recall,
        "share": found.shares,
        **more,
    }
    return {
        name: {key: defined(values[i]) for key, values in columns.items()}
        for i, name in enumerate(names)
    }


def defined(value: float) -> float | None:
    """The value for JSON: None instead of NaN."""
    return None if np.isnan(value) else float(value)
