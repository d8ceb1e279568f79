"""Figures along a recording, as SVG that stretches with the page and takes a cursor.

Texts are HTML next to the SVG, so that they keep their size on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup, escape

COLUMNS = 1000  # of the drawing; more frames than this are drawn as their range per column
HEIGHT = 100


@dataclass(frozen=True)
class Line:
    """One figure of every frame.

    Attributes:
        key: its name in the page's data.
        name: in the legend.
        style: ``first``, ``second`` or ``third``: the page's colour.
        values: (F,) NaN where undefined.
        unit: ``%`` for shares of 1, else a unit that is appended.
    """

    key: str
    name: str
    style: str
    values: np.ndarray
    unit: str = "%"


@dataclass(frozen=True)
class Timeline:
    """Lines over the frames of a recording.

    Attributes:
        title: what is shown.
        lines: in the order of the legend; a line without values is left out.
        low, high: the vertical range; None for the values' own.
        note: a sentence below.
    """

    title: str
    lines: Sequence[Line]
    low: float | None = 0.0
    high: float | None = None
    note: str = ""
    shown: list[Line] = field(init=False)

    def __post_init__(self) -> None:
        kept = [line for line in self.lines if not np.isnan(line.values).all()]
        object.__setattr__(self, "shown", kept)

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest value of the drawing."""
        values = np.concatenate([line.values for line in self.shown])
        step = 0.01 if self.shown[0].unit == "%" else 1.0  # what labels can say
        low, high = self.low, self.high
        if low is None:
            low = float(np.floor(np.nanmin(values) / step) * step)
        if high is None:
            high = float(np.nanmax(values))
            high = float(np.ceil(high / step) * step) if self.low is None else high
        return low, high if high > low else low + 1.0

    def html(self, places: np.ndarray) -> dict[str, Any]:
        """What the template shows.

        Args:
            places: (F,) 0–1, not descending: where each frame lies on the time axis.
        """
        low, high = self.range
        paths = Markup("").join(
            Markup('<path class="{}" d="{}"/>').format(
                line.style, path(places, (line.values - low) / (high - low))
            )
            for line in self.shown
        )
        unit = self.shown[0].unit
        return {
            "title": self.title,
            "legend": [(line.key, line.name, line.style, line.unit) for line in self.shown],
            "svg": paths,
            "low": label(low, unit),
            "high": label(high, unit),
            "note": self.note,
        }


def label(value: float, unit: str) -> str:
    """A value at the axis."""
    if unit == "%":
        digits = 0 if value in (0, 1) or value >= 0.1 else 1
        return f"{100 * value:.{digits}f} %"
    return f"{value:.0f} {unit}" if value >= 10 or value == 0 else f"{value:.1f} {unit}"


def path(places: np.ndarray, heights: np.ndarray) -> str:
    """The ``d`` of an SVG path; NaN interrupts it.

    Where there are more frames than columns, each column gets its lowest and highest value.

    Args:
        places: (F,) 0–1 across.
        heights: (F,) 0–1 upwards.
    """
    xs, ys = places * COLUMNS, (1 - np.clip(heights, 0, 1)) * HEIGHT
    if len(xs) > 2 * COLUMNS:
        xs, ys = _envelope(xs, ys)
    parts: list[str] = []
    drawing = False
    for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
        if y != y:
            drawing = False
            continue
        parts.append(f"{'L' if drawing else 'M'}{x:.1f} {y:.1f}")
        drawing = True
    # A single point between two gaps is drawn as a dot, by the round cap of an empty line.
    return "".join(
        f"{part}h0" if part[0] == "M" and (after == "" or after[0] == "M") else part
        for part, after in zip(parts, [*parts, ""][1:], strict=True)
    )


def _envelope(xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    columns = np.minimum(xs.astype(int), COLUMNS - 1)
    starts = np.flatnonzero(np.r_[True, columns[1:] != columns[:-1]])
    low = np.fmin.reduceat(ys, starts)
    high = np.fmax.reduceat(ys, starts)
    pairs = np.stack([low, high], 1).reshape(-1)
    return np.repeat(columns[starts] + 0.5, 2), pairs


def stacked(
    places: np.ndarray, shares: np.ndarray, names: Sequence[str], colours: Sequence[str]
) -> dict[str, Any]:
    """Shares of classes that sum to at most 1, on top of each other.

    Args:
        places: (F,) 0–1 across.
        shares: (F, n) 0–1.
        names, colours: of the classes; those that never reach 0.1 % are left out.
    """
    if len(places) > COLUMNS // 2:  # means of equal groups
        groups = np.array_split(np.arange(len(places)), COLUMNS // 2)
        places = np.array([places[group].mean() for group in groups])
        shares = np.stack([shares[group].mean(0) for group in groups])
    tops = np.cumsum(shares, 1, dtype=np.float64)
    bottoms = tops - shares
    kept = [i for i in range(shares.shape[1]) if shares[:, i].max(initial=0) >= 0.001]
    if len(places) == 1:  # an area needs two ends
        places, tops, bottoms = np.array([0.0, 1.0]), tops.repeat(2, 0), bottoms.repeat(2, 0)
    drawn = []
    for i in kept:
        upper = path(places, tops[:, i]).removesuffix("h0")
        lower = path(places[::-1], bottoms[::-1, i]).replace("M", "L", 1).removesuffix("h0")
        drawn.append(Markup('<path fill="{}" d="{}"/>').format(colours[i], upper + lower + "Z"))
    return {
        "svg": Markup("").join(drawn),
        "legend": [(names[i], colours[i]) for i in kept],
    }


def ticks(seconds: float) -> list[tuple[float, str]]:
    """(place 0–1, text) of marks on a time axis of so many seconds: four to eight round ones."""
    if not seconds > 0:
        return [(0.0, "0 s")]
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
    step = next((s for s in steps if seconds / s <= 8), steps[-1] * np.ceil(seconds / 8 / 7200))
    marks = np.arange(0, seconds * (1 + 1e-9), step)
    return [(min(1.0, float(mark / seconds)), _clock(float(mark), seconds)) for mark in marks]


def _clock(mark: float, longest: float) -> str:
    if longest < 120:
        return f"{mark:g} s"
    minutes, left = divmod(round(mark), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if longest >= 3600 else f"{minutes}:{left:02}"


def reliability(bins: Sequence[dict[str, Any]]) -> Markup:
    """The reliability diagram: accuracy of each bin of confidence, next to the diagonal.

    Args:
        bins: of :meth:`bisenet_ros.metrics.calibration.Calibration.figures`.
    """
    side = 260
    bars = []
    for one in bins:
        if one["accuracy"] is None or not one["share"]:
            continue
        left, right = one["low"] * side, one["high"] * side
        top = (1 - one["accuracy"]) * side
        # Pale where there are few pixels, so that noise does not look like a fault.
        opacity = 0.25 + 0.75 * min(1.0, one["share"] * len(bins))
        text = (
            f"confidence {100 * one['low']:.0f} to {100 * one['high']:.0f} %: "
            f"{100 * one['accuracy']:.1f} % right, {100 * one['share']:.2f} % of the pixels"
        )
        bars.append(
            Markup(
                '<rect class="first" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" '
                'opacity="{:.2f}"><title>{}</title></rect>'
            ).format(left + 0.5, top, right - left - 1, side - top, opacity, escape(text))
        )
    return Markup(
        '<svg class="reliability" viewBox="-44 -8 314 312" role="img" '
        'aria-label="Reliability diagram">'
        '<rect class="frame" x="0" y="0" width="{0}" height="{0}"/>{1}'
        '<path class="diagonal" d="M0 {0}L{0} 0"/>'
        '<text x="-8" y="10" text-anchor="end">100 %</text>'
        '<text x="-8" y="{0}" text-anchor="end">0 %</text>'
        '<text x="0" y="278">0 %</text>'
        '<text x="{0}" y="278" text-anchor="end">100 %</text>'
        '<text x="130" y="298" text-anchor="middle">confidence</text>'
        '<text x="-30" y="130" text-anchor="middle" transform="rotate(-90 -30 130)">accuracy</text>'
        "</svg>"
    ).format(side, Markup("").join(bars))
