"""Boundary F-score: how well the edges of a mask follow those of the truth.

The measure of Csurka, Larlus and Perronnin, "What is a good evaluation measure for semantic
segmentation?", BMVC 2013, doi 10.5244/C.27.32, section 3: of a class in an image, precision is the
share of its predicted boundary that lies within a tolerance of its true boundary, recall the share
of its true boundary that lies within the tolerance of the predicted one, F = 2PR / (P + R). The
tolerance is their 0.75 % of the image's diagonal, here rounded up to whole pixels.

What the paper leaves open is defined here: a boundary pixel of a class has a neighbour to the left,
to the right, above or below of another class. Pixels that are unlabelled in the truth and the
image border form no boundaries, since no mask could get those wrong. Distances are between
pixel centres, and a distance equal to the tolerance is within it. An image counts for the classes
that have a boundary in its truth or its mask; if only one of the two has one, F is 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bisenet_ros.labels import UNLABELLED
from bisenet_ros.metrics.confusion import mean

TOLERANCE = 0.0075  # of the image's diagonal
_KINDS = (np.uint8, np.uint16, np.uint32)
_AT_ONCE = 32  # classes, one bit each


@dataclass(frozen=True)
class BoundaryScores:
    """Boundary F-scores of a set of images.

    Attributes:
        mean: over the classes that are defined, 0–1; NaN if none is.
        f: (n,) float64, per class the mean over the images it counts in; NaN if there is none.
        images: (n,) int64, number of images each class counts in.
    """

    mean: float
    f: np.ndarray
    images: np.ndarray


def tolerance(shape: tuple[int, ...]) -> int:
    """Tolerance in pixels for an image of (height, width), at least 1."""
    return math.ceil(TOLERANCE * math.hypot(shape[0], shape[1]))


def summarise(images: Sequence[np.ndarray], num_classes: int) -> BoundaryScores:
    """Aggregate the results of :func:`boundary_f` over all images."""
    table = np.array(images, np.float64).reshape(len(images), num_classes)
    f = np.array([mean(column) for column in table.T])
    return BoundaryScores(mean(f), f, np.count_nonzero(~np.isnan(table), axis=0))


def boundary_f(
    truth: np.ndarray, mask: np.ndarray, num_classes: int, radius: int | None = None
) -> np.ndarray:
    """Boundary F-score of each class in one image.

    Args:
        truth: (H, W) uint8 ids, 255 unlabelled.
        mask: (H, W) uint8 ids; 255 is not scored, but does bound its neighbours.
        num_classes: how many classes there are.
        radius: the tolerance in pixels; None for :func:`tolerance` of the image.

    Returns:
        (num_classes,) float64, 0–1; NaN for classes without boundary in truth and mask.
    """
    radius = tolerance(truth.shape) if radius is None else radius
    labelled = truth != UNLABELLED
    truth_edges = np.where(_edges(truth, labelled), truth, UNLABELLED)
    mask_edges = np.where(_edges(mask, labelled), mask, UNLABELLED)
    counts = [np.bincount(edges.reshape(-1), minlength=256) for edges in (truth_edges, mask_edges)]
    occurring = np.flatnonzero((counts[0] + counts[1])[:num_classes])
    f = np.full(num_classes, np.nan)
    for start in range(0, len(occurring), _AT_ONCE):
        some = occurring[start : start + _AT_ONCE]
        precision = _shares_near(mask_edges, counts[1], truth_edges, some, radius)
        recall = _shares_near(truth_edges, counts[0], mask_edges, some, radius)
        total = precision + recall
        f[some] = 2 * precision * recall / np.where(total, total, 1)
    return f


def _edges(ids: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """(H, W) bool: labelled pixels next to a labelled pixel of another id."""
    edges = np.zeros(ids.shape, np.bool_)
    for one, other in (
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[1:, :], np.s_[:-1, :]),
    ):
        differ = (ids[one] != ids[other]) & labelled[one] & labelled[other]
        edges[one] |= differ
        edges[other] |= differ
    return edges


def _shares_near(
    points: np.ndarray,
    counts: np.ndarray,
    others: np.ndarray,
    classes: np.ndarray,
    radius: int,
) -> np.ndarray:
    """Share of each class's points that lie within ``radius`` of one of its others.

    All classes are grown together, each as one bit of a pixel.

    Args:
        points, others: (H, W) uint8 ids of boundary pixels, 255 elsewhere.
        counts: (256,) how many of the points have each id.
        classes: (c,) ids, at most ``_AT_ONCE``.
        radius: in pixels.

    Returns:
        (c,) float64, 0 for a class without points or without others.
    """
    kind: Any = next(kind for kind in _KINDS if len(classes) <= kind().itemsize * 8)
    bits = np.zeros(256, kind)
    bits[classes] = kind(1) << np.arange(len(classes), dtype=kind)
    near = _grown(bits[others], radius)
    # Most pixels are no boundary, so only those that are get looked at.
    places = np.flatnonzero(points != UNLABELLED)
    ids = points.reshape(-1)[places]
    found = ids[bits[ids] & near.reshape(-1)[places] != 0]
    return np.bincount(found, minlength=256)[classes] / np.maximum(counts[classes], 1)


def _grown(bits: np.ndarray, radius: int) -> np.ndarray:
    """(H, W) unsigned: all bits set within ``radius`` of each pixel, distances between centres."""
    wide = bits.copy()
    out = np.zeros_like(bits)
    reach = 0
    for down in range(radius, -1, -1):  # the rows of a disc, from the narrowest to the widest
        while reach < math.isqrt(radius**2 - down**2):
            reach += 1
            wide[:, reach:] |= bits[:, :-reach]
            wide[:, :-reach] |= bits[:, reach:]
        if down:
            out[down:] |= wide[:-down]
            out[:-down] |= wide[down:]
    out |= wide
    return out
