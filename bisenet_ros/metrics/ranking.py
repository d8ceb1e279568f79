"""Which frames of a recording are worth looking at."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

COUNT = 8
MIN_GAP_S = 1.0  # neighbouring frames show the same fault


def spaced(
    order: Iterable[int], stamps_ns: np.ndarray, count: int = COUNT, min_gap_s: float = MIN_GAP_S
) -> list[int]:
    """The first frames of an order that lie far enough from each other in time.

    Args:
        order: frame numbers, the most interesting first.
        stamps_ns: (F,) int64, of all frames.
        count: how many at most.
        min_gap_s: least distance between two of them, in seconds of their stamps.
    """
    least = round(min_gap_s * 1e9)
    chosen: list[int] = []
    for frame in order:
        if len(chosen) == count:
            break
        stamp = int(stamps_ns[frame])
        if all(abs(stamp - int(stamps_ns[other])) >= least for other in chosen):
            chosen.append(int(frame))
    return chosen


def lowest(
    values: np.ndarray, stamps_ns: np.ndarray, count: int = COUNT, min_gap_s: float = MIN_GAP_S
) -> list[int]:
    """Frames with the lowest values (F,), lowest first; frames whose value is NaN are left out."""
    known = np.flatnonzero(~np.isnan(values))
    return spaced(known[np.argsort(values[known], kind="stable")], stamps_ns, count, min_gap_s)


def highest(
    values: np.ndarray, stamps_ns: np.ndarray, count: int = COUNT, min_gap_s: float = MIN_GAP_S
) -> list[int]:
    """Frames with the highest values (F,), highest first; NaN as in :func:`lowest`."""
    return lowest(-np.asarray(values, np.float64), stamps_ns, count, min_gap_s)


def instability(
    flicker: np.ndarray, confidence: np.ndarray, disagreement: np.ndarray
) -> np.ndarray:
    """How suspicious each frame is without truth: the mean of its ranks in three figures.

    Args:
        flicker: (F,) share of flickering pixels; high is bad.
        confidence: (F,) mean confidence; low is bad.
        disagreement: (F,) share of pixels that differ from the warped mask before; high is bad.

    Returns:
        (F,) float64 from 0, the calmest frame in everything, to 1, the worst in everything. A
        figure that is NaN does not count; NaN where all three are.
    """
    ranks = np.stack([_ranks(flicker), _ranks(-np.asarray(confidence)), _ranks(disagreement)])
    known = np.count_nonzero(~np.isnan(ranks), 0)
    return np.nansum(ranks, 0) / np.where(known, known, np.nan)


def _ranks(values: np.ndarray) -> np.ndarray:
    """(F,) rank from 0, the lowest, to 1; equal values share the mean of theirs; NaN stays."""
    ranks = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return ranks
    _, inverse, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1  # of each value's places
    middle = last - (counts - 1) / 2
    ranks[known] = middle[inverse] / max(1, len(known) - 1)
    return ranks
