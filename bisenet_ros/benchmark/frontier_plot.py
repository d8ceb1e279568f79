"""Draws the frontier: mIoU against the time relative to the reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bisenet_ros.benchmark.peers import Peer, Peers

INK, FAINT, EDGE = "#181b20", "#68707a", "#d5d9de"
FLOAT, INT8, OTHERS = "#1f6feb", "#d9480f", "#68707a"
TICKS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 50.0)
LEAST_SPAN = 2.0  # points of mIoU, so that noise does not look like a difference
ROW = 0.28  # inches of a line of the lower panel


def draw(measured: dict[str, Any], peers: Peers | None, out: Path) -> None:
    """Write the plot as a PNG.

    Above, every model with a score, numbered, and a line along the frontier: circles are float,
    diamonds int8, squares the peers. Below, one line each, what has no score on this data. Peers
    stand where their ratio to the same file was, on their machine.

    Args:
        measured: of ``frontier.time_rows``, scored and marked.
        peers: rows of another machine, or None.
        out: the file.
    """
    rows = sorted(measured["rows"], key=lambda row: row["ratio_to_reference"])
    scored = [row for row in rows if row["miou"] is not None]
    others = list(peers.rows) if peers else []
    lines = [(row["name"], row["ratio_to_reference"], _colour(row)) for row in rows]
    lines = lines if not scored else []
    lines += [(f"{p.name} †", p.ratio, _peer_colour(p.ours)) for p in others if p.miou is None]
    heights = [4.2] * bool(scored) + [0.35 + ROW * len(lines)] * bool(lines)
    figure = Figure(figsize=(9.5, sum(heights) + 1.3), layout="constrained")
    panels = figure.subplots(
        len(heights), 1, sharex=True, squeeze=False, height_ratios=heights
    ).ravel()
    ratios = [row["ratio_to_reference"] for row in rows] + [peer.ratio for peer in others]
    if scored:
        _scores(panels[0], scored, others)
    if lines:
        _strip(panels[-1], lines, "not scored on this data" if scored else "")
    _ratio_axis(list(panels), ratios, measured["reference"])
    if peers:
        figure.supxlabel(
            f"† measured elsewhere: {peers.machine}, {peers.date}, beside the same file",
            color=FAINT,
            fontsize=8,
        )
    figure.savefig(out, dpi=120)


def _scores(axes: Axes, rows: Sequence[dict[str, Any]], peers: Sequence[Peer]) -> None:
    best = [(row["ratio_to_reference"], 100 * row["miou"]) for row in rows if row["on_frontier"]]
    axes.plot(*zip(*best, strict=True), color=EDGE, linewidth=1.6, drawstyle="steps-post", zorder=1)
    points = [
        (row["name"], row["ratio_to_reference"], 100 * row["miou"], _colour(row)) for row in rows
    ]
    points += [
        (f"{peer.name} †", peer.ratio, 100 * peer.miou, _peer_colour(peer.ours))
        for peer in peers
        if peer.miou is not None
    ]
    for number, (name, ratio, miou, colour) in enumerate(sorted(points, key=lambda p: p[1]), 1):
        marker = "s" if name.endswith("†") else "D" if colour == INT8 else "o"
        label = f"{number}  {name}: {ratio:.2f}, {miou:.2f} %"
        axes.scatter(ratio, miou, s=44, marker=marker, color=colour, label=label, zorder=3)
        # Above and below in turn: neighbours in time are often neighbours in mIoU, too.
        axes.annotate(
            str(number),
            (ratio, miou),
            xytext=(0, 8 if number % 2 else -8),
            textcoords="offset points",
            ha="center",
            va="bottom" if number % 2 else "top",
            color=INK,
            fontsize=9,
        )
    axes.set_ylabel("mIoU, %", color=FAINT)
    low, high = min(p[2] for p in points), max(p[2] for p in points)
    margin = 0.2 * max(high - low, LEAST_SPAN)
    axes.set_ylim(low - margin, high + margin)
    axes.legend(frameon=False, loc="best", fontsize=9)
    _plain(axes)


def _strip(axes: Axes, lines: Sequence[tuple[str, float, str]], title: str) -> None:
    for place, (_, ratio, colour) in enumerate(lines):
        axes.axhline(place, color=EDGE, linewidth=0.8, zorder=1)
        axes.scatter(ratio, place, s=36, marker="s", color=colour, zorder=3)
        axes.annotate(
            f"{ratio:.2f}",
            (ratio, place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axes.set_yticks(range(len(lines)), [name for name, *_ in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_title(title, color=FAINT, loc="left", fontsize=9)
    _plain(axes)
    axes.tick_params(axis="y", length=0, labelsize=8)


def _ratio_axis(panels: Sequence[Axes], ratios: Sequence[float], reference: dict[str, Any]) -> None:
    low, high = min(*ratios, 1.0) / 1.35, max(*ratios, 1.0) * 1.45
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.xaxis.set_major_locator(FixedLocator([t for t in TICKS if low <= t <= high]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.axvline(1.0, color=EDGE, linewidth=1.0, linestyle="--", zorder=0)
    panels[-1].set_xlabel(
        f"time, camera frame to mask, relative to {reference['weights']} "
        f"({reference['engine']} {reference['precision']})",
        color=FAINT,
    )
    here = reference["median_ms"]
    top = panels[0].secondary_xaxis("top", functions=(lambda x: x * here, lambda x: x / here))
    top.set_xscale("log")
    top.xaxis.set_major_locator(FixedLocator([round(t * here, 1) for t in TICKS]))
    top.xaxis.set_minor_locator(NullLocator())
    top.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    top.set_xlabel("ms on this machine", color=FAINT)
    top.tick_params(color=FAINT, labelcolor=FAINT)


def _plain(axes: Axes) -> None:
    axes.tick_params(color=FAINT, labelcolor=FAINT)
    axes.grid(axis="y", alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)


def _colour(row: dict[str, Any]) -> str:
    return INT8 if row["precision"] == "int8" else FLOAT


def _peer_colour(ours: bool) -> str:
    return INT8 if ours else OTHERS
