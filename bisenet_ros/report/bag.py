"""report.html of a drive, as one self-contained page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from bisenet_ros.recordings.codec import encode_png
from bisenet_ros.report.charts import Series, line_chart
from bisenet_ros.report.data import Facts, ReportData, ReportImage, machine_facts
from bisenet_ros.report.formatting import number
from bisenet_ros.report.html import (
    class_rows,
    data_uri,
    fill,
    heat_picture,
    heat_rows,
    legend,
)

LARGEST_FILM = 24 << 20  # bytes; a larger video is linked, to keep the page small
SAMPLE_BAG = "camvid_drive"
SAMPLE_CREDIT = Markup(
    "Frames and labels: CamVid. Gabriel J. Brostow, Julien Fauqueur, Roberto Cipolla, "
    "<cite>Semantic object classes in video: a high-definition ground truth database</cite>, "
    "Pattern Recognition Letters, 2008; size, split and labels of 11 classes by Alex Kendall, "
    "Vijay Badrinarayanan and Roberto Cipolla for SegNet. "
    '<a href="https://creativecommons.org/licenses/by-nc/4.0/">CC BY-NC 4.0</a>: research and '
    "personal use. Changed: JPEG instead of PNG; void became 255. The shipped "
    "weights were trained on other frames of the same drive, so the scores are optimistic."
)


@dataclass(frozen=True)
class GroundView:
    """The hero's frame seen from above.

    Attributes:
        picture: (H, W, 3) uint8 RGB: ground green to amber by its cost, obstacles red.
        assumed: what of the camera was assumed for it.
    """

    picture: np.ndarray
    assumed: str


@dataclass(frozen=True)
class BagReportData(ReportData):
    """What the report of a bag shows besides.

    Attributes:
        numbers: frame number in the recording by stamp (ns).
        hero: the frame shown large.
        film: the MP4 of overlays, or None.
        ground: the ground of the hero's frame, or None; the film then shows it too.
    """

    numbers: dict[int, int] = field(default_factory=dict)
    hero: ReportImage | None = None
    film: Path | None = None
    ground: GroundView | None = None


def render(data: BagReportData) -> str:
    """The page as HTML."""
    metrics, labels = data.metrics, data.labels
    return fill(
        "drive.html.j2",
        m=metrics,
        film=film_source(data.film),
        hero=None if data.hero is None else data.hero.tiles(labels),
        ground=ground_source(data.ground),
        best=[image.tiles(labels) for image in data.best],
        worst=[image.tiles(labels) for image in data.worst],
        legend=legend(labels),
        classes=class_rows(metrics, labels),
        heat=heat_rows(metrics["confusion"], labels),
        heat_picture=heat_picture(metrics["confusion"]),
        miou_chart=Markup(miou_chart(data)),
        age_chart=Markup(age_chart(data)),
        facts=facts(metrics),
        credit=SAMPLE_CREDIT if metrics["drive"]["bag"] == SAMPLE_BAG else None,
    )


def film_source(film: Path | None) -> dict[str, str] | None:
    """The video embedded in the page, or a link to the file if it is large."""
    if film is None:
        return None
    if film.stat().st_size > LARGEST_FILM:
        return {"link": film.name}
    return {"data": data_uri("video/mp4", film.read_bytes())}


def ground_source(ground: GroundView | None) -> dict[str, str] | None:
    """The ground's picture embedded in the page."""
    if ground is None:
        return None
    picture = data_uri("image/png", encode_png(ground.picture))
    return {"data": picture, "assumed": ground.assumed}


def miou_chart(data: BagReportData) -> str:
    """MIoU and pixel accuracy of each frame."""
    frames = _in_order(data)
    series = [
        Series("mIoU", "first", [(n, f["miou"]) for n, f in frames]),
        Series("pixel accuracy", "second", [(n, f["pixel_accuracy"]) for n, f in frames]),
    ]
    return line_chart("Scores along the drive", "frame", "share", series, (0, 1))


def age_chart(data: BagReportData) -> str:
    """Age of each mask at its arrival, with the median and the 95th percentile."""
    frames = _in_order(data)
    series = [Series("age", "first", [(n, f["age_ms"]) for n, f in frames])]
    for key, style in (("p50", "second"), ("p95", "third")):
        level = data.metrics[f"age_ms_{key}"]
        if level is not None:
            ends = (1, max(2, len(data.numbers)))
            series.append(Series(key, style, [(n, level) for n in ends]))
    return line_chart("Age of the masks", "frame", "ms", series)


def _in_order(data: BagReportData) -> list[tuple[int, dict[str, Any]]]:
    """The masks' figures by frame number; a mask of a stamp that was never played has none."""
    known = [f for f in data.metrics["frames"] if f["stamp"] in data.numbers]
    return sorted(
        ((data.numbers[f["stamp"]] + 1, f) for f in known), key=lambda numbered: numbered[0]
    )


def facts(metrics: dict[str, Any]) -> Facts:
    """Titled lists of (name, value): drive, stage times, model, machine."""
    drive = metrics["drive"]
    return [
        (
            "Drive",
            [
                ("bag", drive["bag"]),
                ("frames", str(drive["frames"])),
                ("size", f"{drive['width']} × {drive['height']}"),
                ("length", number(drive["seconds"], 2, "s")),
                ("played at", number(drive["played_hz"], 1, "Hz")),
                ("player reached", number(drive["achieved_hz"], 2, "Hz")),
            ],
        ),
        (
            "One frame, median",
            [(stage, number(ms, 2, "ms")) for stage, ms in metrics["stage_ms"].items()],
        ),
        ("Model", [(key.replace("_", " "), str(v)) for key, v in metrics["model"].items()]),
        machine_facts(metrics["machine"]),
    ]
