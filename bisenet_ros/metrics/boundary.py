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
    true, found = _edges(truth, labelled, radius), _edges(mask, labelled, radius)
    occurring = np.flatnonzero((true.counts + found.counts)[:num_classes])
    f = np.full(num_classes, np.nan)
    for start in range(0, len(occurring), _AT_ONCE):
        some = occurring[start : start + _AT_ONCE]
        precision = _shares_near(found, true, some, radius)
        recall = _shares_near(true, found, some, radius)
        total = precision + recall
        f[some] = 2 * precision * recall / np.where(total, total, 1)
    return f


@dataclass(frozen=True, eq=False)
class _Edges:
    """Boundary pixels of an image.

    Attributes:
        shape: (height, width) of the image.
        places: (E,) which pixels they are, row by row, with as many columns between the rows as
            the radius: shifting the whole image then moves no pixel into the next row.
        ids: (E,) uint8.
        counts: (256,) how many there are of each id.
    """

    shape: tuple[int, int]
    places: np.ndarray
    ids: np.ndarray
    counts: np.ndarray


def _edges(ids: np.ndarray, labelled: np.ndarray, radius: int) -> _Edges:
    """The labelled pixels next to a labelled pixel of another id."""
    height, width = ids.shape
    edges = np.zeros(ids.size, np.bool_)
    # The whole image at once, row after row: one contiguous operation instead of one per row.
    flat, known = ids.reshape(-1), labelled.reshape(-1)
    for apart in (1, width):
        differ = flat[apart:] != flat[:-apart]
        differ &= known[apart:]
        differ &= known[:-apart]
        if apart == 1 and width > 1:
            differ[width - 1 :: width] = False  # the end of a row is not beside the next one
        edges[apart:] |= differ
        edges[:-apart] |= differ
    places = np.flatnonzero(edges)
    found = flat[places]
    counts = np.bincount(found, minlength=256)
    return _Edges((height, width), places + places // width * radius, found, counts)


def _shares_near(points: _Edges, others: _Edges, classes: np.ndarray, radius: int) -> np.ndarray:
    """Share of each class's points that lie within ``radius`` of one of its others.

    All classes are grown together, each as one bit of a pixel.

    Args:
        points, others: boundary pixels of two images of one size.
        classes: (c,) ids, at most ``_AT_ONCE``.
        radius: in pixels.

    Returns:
        (c,) float64, 0 for a class without points or without others.
    """
    kind: Any = next(kind for kind in _KINDS if len(classes) <= kind().itemsize * 8)
    bits = np.zeros(256, kind)
    bits[classes] = kind(1) << np.arange(len(classes), dtype=kind)
    height, width = points.shape
    wide = width + radius
    image = np.zeros(height * wide, kind)
    image[others.places] = bits[others.ids]
    near = _grown(image, wide, radius)[points.places]
    found = points.ids[bits[points.ids] & near != 0]
    return np.bincount(found, minlength=256)[classes] / np.maximum(points.counts[classes], 1)


def _grown(bits: np.ndarray, width: int, radius: int) -> np.ndarray:
    """All bits set within ``radius`` of each pixel, distances between centres.

    Args:
        bits: (height · width,) unsigned; the last ``radius`` pixels of each row are 0.
        width: of a row.
        radius: in pixels.

    Returns:
        The same shape; the last ``radius`` pixels of each row mean nothing.
    """
    wide = bits.copy()
    out = np.zeros_like(bits)
    reach = 0
    for down in range(radius, -1, -1):  # the rows of a disc, from the narrowest to the widest
        while reach < math.isqrt(radius**2 - down**2):
            reach += 1
            wide[reach:] |= bits[:-reach]
            wide[:-reach] |= bits[reach:]
        shift = down * width
        if 0 < shift < len(out):
            out[shift:] |= wide[:-shift]
            out[:-shift] |= wide[shift:]
    out |= wide
    return out
