"""Scores from a confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bisenet_ros.labels import UNLABELLED


@dataclass(frozen=True)
class Scores:
    """What a confusion matrix says.

    Attributes:
        miou: mean IoU over the classes that occur in truth or prediction, 0–1.
        pixel_accuracy: share of labelled pixels whose class is right.
        iou, precision, recall: (n,) float64, NaN where undefined.
        confusion: (n, n) int64, rows truth, columns prediction.
    """

    miou: float
    pixel_accuracy: float
    iou: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    confusion: np.ndarray


def scores(confusion: np.ndarray) -> Scores:
    """Scores of a confusion matrix (n, n), rows truth, columns prediction.

    An unlabelled prediction on a labelled pixel belongs in a last, extra column: pass (n, n + 1)
    and it counts as a miss of the true class and a hit of none.
    """
    n = confusion.shape[0]
    hits = np.diagonal(confusion).astype(np.float64)
    truth = confusion.sum(1).astype(np.float64)
    found = confusion.sum(0).astype(np.float64)[:n]
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = hits / (truth + found - hits)
        precision, recall = hits / found, hits / truth
        accuracy = hits.sum() / truth.sum()
    occurring = iou[~np.isnan(iou)]
    miou = float(occurring.mean()) if occurring.size else float("nan")
    return Scores(miou, float(accuracy), iou, precision, recall, confusion)


def confusion_matrix(truth: np.ndarray, mask: np.ndarray, num_classes: int) -> np.ndarray:
    """Count pixels by true and predicted class.

    Args:
        truth: uint8 ids of any shape; 255 is left out.
        mask: uint8 ids of the same shape; 255 is counted in the last column.

    Returns:
        (num_classes, num_classes + 1) int64.
    """
    labelled = truth != UNLABELLED
    rows = truth[labelled].astype(np.int64)
    columns = np.minimum(mask[labelled], num_classes).astype(np.int64)
    width = num_classes + 1
    counts = np.bincount(rows * width + columns, minlength=num_classes * width)
    return counts.reshape(num_classes, width)
