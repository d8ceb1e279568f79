"""report.html of a drive, as one self-contained page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bisenet_ros.labels import LabelSet
from bisenet_ros.report.charts import Series, line_chart
from bisenet_ros.report.figure import View
from bisenet_ros.report.formatting import number
from bisenet_ros.report.html import (
    class_rows,
    data_uri,
    fill,
    heat_picture,
    heat_rows,
    legend,
    pictures,
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
class ReportImage:
    """A frame with its images: its number in the drive, its mIoU, and the view."""

    number: int
    miou: float
    view: View


@dataclass(frozen=True)
class ReportData:
    """Content of the report.

    Attributes:
        metrics: from :func:`bisenet_ros.demo.metrics.metrics`.
        labels: class names and colours.
        numbers: frame number in the drive by stamp (ns).
        hero: the frame shown large.
        best, worst: the frames with the highest and the lowest scores.
        film: the MP4 of overlays, or None.
    """

    metrics: dict[str, Any]
    labels: LabelSet
    numbers: dict[int, int]
    hero: ReportImage | None = None
    best: list[ReportImage] = field(default_factory=list)
    worst: list[ReportImage] = field(default_factory=list)
    film: Path | None = None


def render(story: ReportData) -> str:
    """The page as HTML."""
    metrics, labels = story.metrics, story.labels
    return fill(
        "drive.html.j2",
        m=metrics,
        film=film_source(story.film),
        hero=None if story.hero is None else tiles(story.hero, labels),
        best=[tiles(shown, labels) for shown in story.best],
        worst=[tiles(shown, labels) for shown in story.worst],
        legend=legend(labels),
        classes=class_rows(metrics, labels),
        heat=heat_rows(metrics["confusion"], labels),
        heat_picture=heat_picture(metrics["confusion"]),
        miou_chart=Markup(miou_chart(story)),
        age_chart=Markup(age_chart(story)),
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


def tiles(shown: ReportImage, labels: LabelSet) -> dict[str, Any]:
    """The pictures of a frame as URLs."""
    name = f"Frame {shown.number + 1}"
    return {"name": name, "miou": shown.miou, "pictures": pictures(shown.view, labels)}


def miou_chart(story: ReportData) -> str:
    """MIoU and pixel accuracy of each frame."""
    frames = _in_order(story)
    series = [
        Series("mIoU", "first", [(n, f["miou"]) for n, f in frames]),
        Series("pixel accuracy", "second", [(n, f["pixel_accuracy"]) for n, f in frames]),
    ]
    return line_chart("Scores along the drive", "frame", "share", series, (0, 1))


def age_chart(story: ReportData) -> str:
    """Age of each mask at its arrival, with the median and the 95th percentile."""
    frames = _in_order(story)
    series = [Series("age", "first", [(n, f["age_ms"]) for n, f in frames])]
    for key, style in (("p50", "second"), ("p95", "third")):
        level = story.metrics[f"age_ms_{key}"]
        if level is not None:
            ends = (1, max(2, len(story.numbers)))
            series.append(Series(key, style, [(n, level) for n in ends]))
    return line_chart("Age of the masks", "frame", "ms", series)


def _in_order(story: ReportData) -> list[tuple[int, dict[str, Any]]]:
    """The masks' figures by frame number; masks with a stamp that was never played are omitted."""
    known = [f for f in story.metrics["frames"] if f["stamp"] in story.numbers]
    return sorted(
        ((story.numbers[f["stamp"]] + 1, f) for f in known), key=lambda numbered: numbered[0]
    )


def facts(metrics: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Titled lists of (name, value): drive, stage times, model, machine."""
    drive, host = metrics["drive"], metrics["machine"]
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
        (
            "Machine",
            [
                ("processor", host["processor"]),
                ("cores", str(host["cores"])),
                ("memory", number(host["memory_gib"], 1, "GiB")),
                ("system", host["system"]),
                ("Python", host["python"]),
                ("ROS", host["ros_distro"]),
            ],
        ),
    ]
