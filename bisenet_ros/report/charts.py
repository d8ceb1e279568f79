"""Line charts as SVG with the page's colours, for light and dark mode."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# Placeholders that matplotlib writes, replaced by the page's colours.
COLOURS = {
    "first": "#010101",
    "second": "#020202",
    "third": "#030303",
    "faint": "#040404",
    "edge": "#050505",
}


@dataclass(frozen=True)
class Series:
    """One line: its name, its colour (a key of ``COLOURS``), and its points; None breaks it."""

    name: str
    style: str
    points: Sequence[tuple[float, float | None]]


def line_chart(
    title: str,
    x_label: str,
    y_label: str,
    series: Sequence[Series],
    y_range: tuple[float, float | None] = (0, None),
) -> str:
    """The chart as an ``<svg>`` element for an HTML page that sets ``--first`` and its like.

    Args:
        title: accessible title of the chart.
        x_label, y_label: of the axes, with units.
        series: the lines, in the order of the legend.
        y_range: lowest and highest value shown; None for automatic.
    """
    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": title,
        "font.family": "sans-serif",
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(9.6, 2.9), layout="constrained")
        axes = figure.subplots()
        for line in series:
            xs = [x for x, _ in line.points]
            ys = [float("nan") if y is None else y for _, y in line.points]
            style = "--" if line.style == "third" else "-"
            axes.plot(xs, ys, style, color=COLOURS[line.style], linewidth=1.6, label=line.name)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.set_ylim(*y_range)
        axes.margins(x=0.01)
        axes.grid(axis="y", color=COLOURS["edge"])
        axes.tick_params(color=COLOURS["edge"], labelcolor=COLOURS["faint"])
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_color(COLOURS["faint"])
        axes.spines[:].set_visible(False)
        if series:
            axes.legend(
                loc="lower right",
                bbox_to_anchor=(1, 1),
                ncols=len(series),
                frameon=False,
                labelcolor=COLOURS["faint"],
            )
        buffer = io.StringIO()
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Title": title, "Date": None}
        )
    svg = buffer.getvalue()
    for name, stand_in in COLOURS.items():
        svg = svg.replace(stand_in, f"var(--{name})")
    return svg[svg.index("<svg") :].replace("<svg ", '<svg class="chart" role="img" ', 1)
