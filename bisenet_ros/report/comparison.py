"""report.html of a comparison: two models on the same frames, on one page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bisenet_ros.labels import LabelSet
from bisenet_ros.report.data import Facts, machine_facts
from bisenet_ros.report.formatting import number, percent
from bisenet_ros.report.html import css, fill, legend
from bisenet_ros.report.pictures import Tile
from bisenet_ros.report.recording import frame_ticks, time_axis
from bisenet_ros.report.timeline import Line, Timeline, ticks


@dataclass(frozen=True)
class ComparedFrame:
    """A frame: its name, its figures as text, and its pictures."""

    name: str
    figures: str
    tiles: list[Tile]


@dataclass(frozen=True)
class ComparisonReportData:
    """What the report of a comparison shows.

    Attributes:
        metrics: as metrics.json holds them.
        labels: class names and colours.
        first, second: (F,) figures of each frame by name, of each model.
        apart: (F,) share of the pixels that the models call something else.
        shown: the frames that differ most.
        seen: ids that occur in their pictures.
        warnings: sentences for the top of the page.
        timed: whether the frames follow each other in time.
    """

    metrics: dict[str, Any]
    labels: LabelSet
    first: dict[str, np.ndarray]
    second: dict[str, np.ndarray]
    apart: np.ndarray
    shown: list[ComparedFrame] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    timed: bool = True


def render(data: ComparisonReportData) -> str:
    """The page as HTML."""
    metrics, labels = data.metrics, data.labels
    places, seconds = time_axis(data.first["stamp_ns"])
    lines = [line for line in timelines(data) if line.shown]
    names = [weights["file"] for weights in metrics["weights"]]
    if names[0] == names[1]:
        names = [f"{weights['file']} ({weights['sha256'][:8]})" for weights in metrics["weights"]]
    return fill(
        "comparison.html.j2",
        m=metrics,
        a=names[0],
        b=names[1],
        verdict=verdict(metrics),
        warnings=data.warnings,
        headline=headline(metrics),
        rows=class_changes(metrics, labels),
        timelines=[line.html(places) for line in lines],
        ticks=ticks(seconds) if seconds and data.timed else frame_ticks(len(places)),
        shown=data.shown,
        legend=[entry for i, entry in enumerate(legend(labels)) if i in data.seen],
        facts=facts(metrics),
        credit="",
    )


def verdict(metrics: dict[str, Any]) -> tuple[str, str]:
    """The outcome in a few words, and ``good``, ``bad`` or an empty text."""
    if metrics["difference"] is None:
        return "no labels: which one is right is not known", ""
    change = metrics["difference"]["miou"]
    points = 100 * (change["difference"] or 0.0)
    if not change["excludes_zero"]:
        return "no difference that chance could not explain", ""
    return (
        (f"B is {points:+.2f} points", "good")
        if points > 0
        else (f"B is {points:+.2f} points", "bad")
    )


def headline(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Figures at the top: (value, what it is)."""
    found: list[tuple[str, str]] = []
    first, second = metrics["first"], metrics["second"]
    if metrics["difference"] is not None:
        change = metrics["difference"]["miou"]
        interval = "no interval: too short"
        if change["low"] is not None:
            interval = f"95 %: {points(change['low'])} to {points(change['high'])}"
        changed = metrics["changed_pixels"]
        found += [
            (percent(first["miou"], 2), "mIoU of A"),
            (percent(second["miou"], 2), "mIoU of B"),
            (points(change["difference"]), f"points of mIoU · {interval}"),
            (f"{changed['gained']:,}", "pixels gained: only B is right"),
            (f"{changed['lost']:,}", "pixels lost: only A is right"),
        ]
    else:
        for name, one in (("A", first), ("B", second)):
            steady = one["stability"] or {}
            found.append(
                (percent(steady.get("temporal_consistency")), f"temporal consistency of {name}")
            )
            found.append((percent(one["confidence"]["mean"]), f"mean confidence of {name}"))
    found.append((percent(metrics["different_pixels"], 2), "of all pixels differ"))
    return found


def points(value: float | None) -> str:
    """A difference of shares in percentage points."""
    return "–" if value is None else f"{100 * value:+.2f}"


def class_changes(metrics: dict[str, Any], labels: LabelSet) -> list[dict[str, Any]]:
    """The table of classes, largest change first; ``bar`` is where its interval is drawn."""
    if metrics["difference"] is None:
        return []
    changes = metrics["difference"]["per_class"]
    known = [abs(v) for one in changes.values() for v in _ends(one) if v is not None]
    reach = max([*known, 0.001])

    def place(value: float) -> float:
        return 50 + 50 * value / reach

    rows = []
    for name, colour in zip(labels.names, labels.colours, strict=True):
        change = changes[name]
        value, low, high = change["difference"], *_ends(change)[1:]
        bar = None
        if value is not None:
            ends = (low, high) if low is not None and high is not None else (value, value)
            bar = {"left": place(ends[0]), "width": place(ends[1]) - place(ends[0])}
            bar["at"] = place(value)
        pixels = metrics["changed_pixels"]["per_class"][name]
        rows.append(
            {
                "name": name,
                "colour": css(colour),
                "first": metrics["first"]["per_class"][name]["iou"],
                "second": metrics["second"]["per_class"][name]["iou"],
                "change": points(value),
                "sure": change["excludes_zero"],
                "way": "" if not value else "good" if value > 0 else "bad",
                "interval": "–" if low is None else f"{points(low)} to {points(high)}",
                "bar": bar,
                "gained": pixels["gained"],
                "lost": pixels["lost"],
                "size": -1.0 if value is None else abs(value),
            }
        )
    return sorted(rows, key=lambda row: -row["size"])


def _ends(change: dict[str, Any]) -> tuple[float | None, float | None, float | None]:
    return change["difference"], change["low"], change["high"]


def timelines(data: ComparisonReportData) -> list[Timeline]:
    """Both models along the frames."""
    first, second = data.first, data.second

    def both(title: str, key: str) -> Timeline:
        lines = [Line(key, "A", "first", first[key]), Line(key, "B", "third", second[key])]
        return Timeline(title, lines, low=None)

    return [
        both("mIoU", "miou"),
        both("Temporal consistency", "consistency"),
        Timeline("Pixels that differ", [Line("apart", "share", "second", data.apart)]),
        both("Mean confidence", "confidence"),
    ]


def facts(metrics: dict[str, Any]) -> Facts:
    """Titled lists of (name, value)."""
    source = metrics["source"]
    found: Facts = [
        (
            "Frames",
            [
                ("from", str(source["path"])),
                ("frames", str(metrics["first"]["frames"])),
                ("labelled", str(metrics["first"]["labelled_frames"])),
                ("compared in", number(metrics["seconds"], 1, "s")),
            ],
        )
    ]
    for name, weights, how in zip("AB", metrics["weights"], metrics["scored_with"], strict=True):
        items = [(key.replace("_", " "), str(v)) for key, v in {**weights, **how}.items()]
        found.append((f"Model {name}", items))
    return [*found, machine_facts(metrics["machine"])]
