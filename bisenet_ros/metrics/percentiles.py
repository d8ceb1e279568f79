"""Summaries of many values, such as the latencies of a stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percentiles(
    values: np.ndarray, points: Sequence[int] = (50, 95, 99)
) -> dict[str, float | None]:
    """Mean and percentiles, ``p50`` and so on, of what is not NaN; None if nothing is."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return {"mean": None, **{f"p{point}": None for point in points}}
    found = np.percentile(known, points)
    return {
        "mean": float(known.mean()),
        **{f"p{point}": float(value) for point, value in zip(points, found, strict=True)},
    }
