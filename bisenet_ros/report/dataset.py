"""report.html of an evaluation: scores of a network on a data set, on one page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup

from bisenet_ros.labels import LabelSet
from bisenet_ros.report.charts import Series, line_chart
from bisenet_ros.report.data import (
    Facts,
    ReportData,
    ReportImage,
    machine_facts,
    temperature_facts,
)
from bisenet_ros.report.figure import View
from bisenet_ros.report.html import (
    class_rows,
    fill,
    heat_picture,
    heat_rows,
    legend,
    shares,
)

WIDEST = 960  # pixels; larger images are shrunk, or a Cityscapes page would take 20 MB
MISTAKES = 8  # pairs of classes listed
SMALLEST_MISTAKE = 0.01  # of the true class


def render(data: ReportData) -> str:
    """The page as HTML."""
    metrics, labels = data.metrics, data.labels
    return fill(
        "evaluation.html.j2",
        m=metrics,
        tolerance=span(metrics["boundary_tolerance_px"]),
        classes=class_rows(metrics, labels),
        heat=heat_rows(metrics["confusion"], labels),
        heat_picture=heat_picture(metrics["confusion"]),
        confusions=mistakes(metrics["confusion"], labels),
        chart=Markup(chart(metrics["images"])),
        best=[tiles(shown, labels) for shown in data.best],
        worst=[tiles(shown, labels) for shown in data.worst],
        legend=legend_of([*data.best, *data.worst], labels),
        facts=facts(metrics),
        credit=" · ".join(filter(None, (metrics["data"]["source"], metrics["data"]["licence"]))),
    )


def tiles(image: ReportImage, labels: LabelSet) -> dict[str, Any]:
    """The pictures of an image as URLs, none wider than ``WIDEST``."""
    return replace(image, view=shrunk(image.view)).tiles(labels)


def shrunk(view: View, widest: int = WIDEST) -> View:
    """The view at most ``widest`` pixels wide; ids are taken from the nearest pixel."""
    height, width = view.truth.shape
    if width <= widest:
        return view
    size = (widest, max(1, round(height * widest / width)))

    def fit(picture: np.ndarray) -> np.ndarray:
        way = cv2.INTER_NEAREST if picture.ndim == 2 else cv2.INTER_AREA
        return cv2.resize(picture, size, interpolation=way)

    return View(fit(view.image), fit(view.truth), fit(view.mask), fit(view.overlay))


def legend_of(shown: list[ReportImage], labels: LabelSet) -> list[tuple[str, str]]:
    """(name, colour) of the classes in the images shown; sets may have hundreds."""
    seen: set[int] = set()
    for each in shown:
        seen.update(np.unique(each.view.truth).tolist(), np.unique(each.view.mask).tolist())
    return [entry for index, entry in enumerate(legend(labels)) if index in seen]


def mistakes(confusion: list[list[int]], labels: LabelSet) -> list[dict[str, Any]]:
    """The most confused pairs of classes, as shares of the true class, largest first."""
    table = shares(confusion)
    np.fill_diagonal(table, 0)
    entries = [*legend(labels), ("none", None)]
    found = []
    for place in np.argsort(-table, axis=None, kind="stable")[:MISTAKES]:
        row, column = np.unravel_index(place, table.shape)
        share = float(table[row, column])
        if share < SMALLEST_MISTAKE:
            break
        (truth, colour), (seen, as_colour) = entries[row], entries[column]
        found.append(
            {"truth": truth, "colour": colour, "seen": seen, "as_colour": as_colour, "share": share}
        )
    return found


def chart(images: list[dict[str, Any]]) -> str:
    """Each score of the images, lowest first."""
    series = []
    for key, name, style in (
        ("miou", "mIoU", "first"),
        ("pixel_accuracy", "pixel accuracy", "second"),
        ("boundary_f", "boundary F", "third"),
    ):
        values = sorted(image[key] for image in images if image[key] is not None)
        series.append(Series(name, style, [(i + 1, value) for i, value in enumerate(values)]))
    return line_chart("Scores of the images", "images, lowest first", "share", series, (0, 1))


def span(values: list[int]) -> str:
    """``5``, or ``5 to 7`` where there are several; a dash for none."""
    if not values:
        return "–"
    return f"{values[0]}" if len(values) == 1 else f"{values[0]} to {values[-1]}"


def facts(metrics: dict[str, Any]) -> Facts:
    """Titled lists of (name, value): weights, data, settings, machine."""
    return [
        ("Weights", [(key.replace("_", " "), str(v)) for key, v in metrics["weights"].items()]),
        (
            "Data",
            [
                *((key, str(metrics["data"][key])) for key in ("dataset", "split", "folder")),
                ("images", str(metrics["scored"])),
                ("sizes", sizes(metrics["images"])),
            ],
        ),
        ("Scored with", [(k.replace("_", " "), str(v)) for k, v in metrics["scored_with"].items()]),
        ("Temperature", temperature_facts(metrics)),
        machine_facts(metrics["machine"]),
    ]


def sizes(images: list[dict[str, Any]]) -> str:
    """Width × height of the images, or from the smallest to the largest."""
    found = sorted({(i["width"], i["height"]) for i in images}, key=lambda s: s[0] * s[1])
    named = [f"{width} × {height}" for width, height in found]
    return named[0] if len(named) == 1 else f"{named[0]} to {named[-1]}"
