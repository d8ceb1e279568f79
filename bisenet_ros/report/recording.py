"""report.html of a scored recording: one self-contained page with a film that can be scrubbed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from bisenet_ros.labels import LabelSet
from bisenet_ros.report.data import Facts, machine_facts, temperature_facts
from bisenet_ros.report.dataset import mistakes, span
from bisenet_ros.report.formatting import number, percent
from bisenet_ros.report.html import (
    class_rows,
    css,
    data_uri,
    fill,
    heat_picture,
    heat_rows,
    legend,
)
from bisenet_ros.report.live import LiveView, credit_of
from bisenet_ros.report.pictures import Tile
from bisenet_ros.report.timeline import Line, Timeline, reliability, stacked, ticks

LARGEST_FILM = 24 << 20  # bytes; a larger video is linked, to keep the page small
MOST_POINTS = 4000  # frames the cursor can stand on; of longer recordings, every so many-th


@dataclass(frozen=True)
class ShownFrame:
    """A frame with its pictures.

    Attributes:
        place: which frame, from 0.
        figures: of the frame, as (name, text).
        tiles: its pictures.
    """

    place: int
    figures: list[tuple[str, str]]
    tiles: list[Tile]


@dataclass(frozen=True)
class RecordingReportData:
    """What the report of a recording shows.

    Attributes:
        metrics: as metrics.json holds them.
        labels: class names and colours.
        columns: (F,) figures of each frame by the name they have in frames.csv.
        shares: (F, n) of each class in each mask.
        film: the MP4 of overlays, or None.
        film_times: seconds at which the film shows each frame.
        strip: (place, JPEG) of some frames.
        worst, unstable: frames worth looking at.
        seen: ids that occur in their pictures.
        warnings: sentences for the top of the page.
        live: what a live run adds; None for an offline one.
    """

    metrics: dict[str, Any]
    labels: LabelSet
    columns: dict[str, np.ndarray]
    shares: np.ndarray
    film: Path | None = None
    film_times: list[float] = field(default_factory=list)
    strip: list[tuple[int, bytes]] = field(default_factory=list)
    worst: list[ShownFrame] = field(default_factory=list)
    unstable: list[ShownFrame] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    live: LiveView | None = None


def render(data: RecordingReportData) -> str:
    """The page as HTML."""
    metrics, labels = data.metrics, data.labels
    name = Path(str(metrics["source"]["path"]).rstrip("/")).name
    large = None if data.live is None else data.live.frame
    places, seconds = time_axis(data.columns["stamp_ns"])
    truth = metrics["per_class"] is not None
    calibrated = truth and metrics["calibration"]["pixels"]  # a live node gives no confidence
    shown = [line for line in timelines(data) if line.shown]
    classes = class_rows(metrics, labels) if truth else class_shares(metrics, labels)
    return fill(
        "recording.html.j2",
        m=metrics,
        name=name,
        lead=lead(data),
        headline=headline(metrics),
        warnings=data.warnings,
        live=data.live,
        tiles=[] if large is None else large.tiles(labels),
        film=film_source(data.film),
        strip=strip(data),
        timelines=[line.html(places) for line in shown],
        areas=stacked(places, data.shares, labels.names, [css(c) for c in labels.colours]),
        ticks=ticks(seconds) if seconds else frame_ticks(len(places)),
        classes=classes,
        heat=heat_rows(metrics["confusion"], labels) if truth else None,
        heat_picture=heat_picture(metrics["confusion"]) if truth else None,
        confusions=mistakes(metrics["confusion"], labels) if truth else [],
        calibration=metrics["calibration"],
        reliability=reliability(metrics["calibration"]["bins"]) if calibrated else None,
        tolerance=span(metrics["boundary_tolerance_px"]),
        worst=data.worst,
        unstable=data.unstable,
        legend=[entry for i, entry in enumerate(legend(labels)) if i in data.seen],
        stages=metrics["stage_ms"],
        cursor=Markup(cursor_data(data, shown, places, seconds)),
        facts=facts(metrics),
        credit=credit_of(name),
    )


def lead(data: RecordingReportData) -> str:
    """The line below the title."""
    metrics = data.metrics
    sizes = {
        (int(w), int(h)) for w, h in zip(data.columns["width"], data.columns["height"], strict=True)
    }
    size = "several sizes" if len(sizes) > 1 else "{} × {}".format(*next(iter(sizes), (0, 0)))
    parts = [f"{metrics['frames']} frames of {size}"]
    seconds = time_axis(data.columns["stamp_ns"])[1]
    if seconds:
        parts.append(number(seconds, 1, "s"))
    if metrics["source"].get("image_topic"):
        parts.append(str(metrics["source"]["image_topic"]))
    played = metrics.get("live", {}).get("played_hz")
    if played:
        parts.append(f"played at {played:g} Hz through the node over DDS")
    return ", ".join(parts)


def headline(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Six figures: (value, what it is)."""
    steady = metrics["stability"] or {}
    confidence = metrics["confidence"]["mean"]
    rate = number(metrics["frames_per_s"], 1)
    found: list[tuple[str, str]] = []
    live = metrics.get("live")
    if metrics["per_class"] is not None:
        error = metrics["calibration"]["expected_calibration_error"]
        found.append(
            (percent(metrics["miou"]), f"mIoU · {metrics['labelled_frames']} labelled frames")
        )
        if live is None:
            found.append((percent(metrics["pixel_accuracy"]), "pixel accuracy"))
        found.append((percent(metrics["boundary_f"]), "boundary F"))
        found += [] if error is None else [(percent(error), "calibration error")]
    if steady:
        found.append((percent(steady["temporal_consistency"]), "temporal consistency"))
    if live is not None:
        found += live_headline(live)
    if steady:
        found.append((percent(steady["flicker"], 2), "flicker"))
        found.append((percent(steady["disagreement"], 1), "differs from the frame before"))
    if confidence is not None:
        found.append((percent(confidence), "mean confidence"))
    found += [(rate, "frames per second"), (str(metrics["frames"]), "frames")]
    return found[:6]


def live_headline(live: dict[str, Any]) -> list[tuple[str, str]]:
    """Age and number of the masks."""
    played = live.get("frames_played")
    count = str(live["masks"]) if played is None else f"{live['masks']} / {played}"
    return [
        (
            number(live["age_ms_p50"], 0, "ms"),
            f"age of a mask, median · p95 {number(live['age_ms_p95'], 0, 'ms')}",
        ),
        (count, "masks" if played is None else "masks / frames played"),
    ]


def film_source(film: Path | None) -> dict[str, str] | None:
    """The video embedded in the page, or a link to the file if it is large."""
    if film is None:
        return None
    if film.stat().st_size > LARGEST_FILM:
        return {"link": film.name}
    return {"data": data_uri("video/mp4", film.read_bytes())}


def class_shares(metrics: dict[str, Any], labels: LabelSet) -> list[dict[str, Any]]:
    """The table of classes where there is no truth: share and steadiness, largest first."""
    steady = (metrics["stability"] or {}).get("per_class", {})
    rows = [
        {
            "name": name,
            "colour": css(colour),
            "share": metrics["class_shares"][name],
            "consistency": steady.get(name),
        }
        for name, colour in zip(labels.names, labels.colours, strict=True)
    ]
    return sorted(rows, key=lambda row: -(row["share"] or 0.0))


def time_axis(stamps_ns: np.ndarray) -> tuple[np.ndarray, float]:
    """Where each frame lies on the axis, 0–1, and the axis' length in seconds.

    Where stamps repeat or go back, frames are spaced evenly and the length is 0.
    """
    count = len(stamps_ns)
    if count < 2:
        return np.zeros(count), 0.0
    passed = (stamps_ns - stamps_ns[0]) / 1e9
    if (np.diff(passed) > 0).all():
        return passed / passed[-1], float(passed[-1])
    return np.linspace(0, 1, count), 0.0


def frame_ticks(count: int) -> list[tuple[float, str]]:
    """Marks of an axis of frames instead of seconds."""
    if count < 2:
        return [(0.0, "frame 0")]
    marks = np.unique(np.linspace(0, count - 1, 6).astype(int))
    return [(float(mark / (count - 1)), f"frame {mark}") for mark in marks]


def timelines(data: RecordingReportData) -> list[Timeline]:
    """Every figure along the recording."""
    column = data.columns
    ages = column.get("age_ms", np.full(len(column["miou"]), np.nan))
    return [
        Timeline(
            "Scores",
            [
                Line("miou", "mIoU", "first", column["miou"]),
                Line("boundary_f", "boundary F", "second", column["boundary_f"]),
            ],
            high=1.0,
        ),
        Timeline(
            "Temporal consistency",
            [Line("consistency", "with the frame before", "first", column["consistency"])],
            low=None,
        ),
        Timeline(
            "Flicker and disagreement",
            [
                Line("flicker", "flicker", "first", column["flicker"]),
                Line("disagreement", "differs from before", "second", column["disagreement"]),
            ],
        ),
        Timeline(
            "Confidence",
            [Line("confidence", "mean", "first", column["confidence"])],
            low=None,
        ),
        Timeline(
            "Age of the masks",
            [Line("age_ms", "from the image's stamp to the mask's arrival", "first", ages, "ms")],
        ),
        Timeline(
            "Time per frame",
            [
                Line("forward_ms", "network", "first", column["forward_ms"], "ms"),
                Line("decode_ms", "decoding", "second", column["decode_ms"], "ms"),
                Line("score_ms", "scoring", "third", column["score_ms"], "ms"),
            ],
        ),
    ]


def strip(data: RecordingReportData) -> list[dict[str, Any]]:
    """The pictures of the filmstrip."""
    return [
        {"place": place, "url": data_uri("image/jpeg", picture)} for place, picture in data.strip
    ]


def cursor_data(
    data: RecordingReportData, shown: list[Timeline], places: np.ndarray, seconds: float
) -> str:
    """What the page's script needs, as JSON that is safe inside a script element."""
    step = max(1, -(-len(places) // MOST_POINTS))
    chosen = np.arange(0, len(places), step)

    def rounded(values: np.ndarray, digits: int) -> list[float | None]:
        some = np.asarray(values, np.float64)[chosen]
        return [None if v != v else round(v, digits) for v in some.tolist()]

    film = np.array(data.film_times or np.zeros(len(places)))[: len(places)]
    film = np.pad(film, (0, len(places) - len(film)), mode="edge")
    content = {
        "frame": chosen.tolist(),
        "number": data.columns["index"][chosen].tolist(),
        "place": rounded(places, 6),
        "seconds": rounded(places * seconds, 3) if seconds else None,
        "film": rounded(film, 4),
        "values": {
            line.key: rounded(line.values, 5 if line.unit == "%" else 2)
            for timeline in shown
            for line in timeline.shown
        },
    }
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def facts(metrics: dict[str, Any]) -> Facts:
    """Titled lists of (name, value)."""
    source = metrics["source"]
    recorded = [
        (key.replace("_", " "), str(source[key]))
        for key in ("path", "image_topic", "image_type", "label_topic", "codec", "messages")
        if source.get(key) is not None
    ]
    if source.get("rate_hz"):
        recorded.append(("rate", number(source["rate_hz"], 2, "Hz")))
    recorded += [
        (name.replace("_", " "), str(count)) for name, count in metrics["notes"]["counts"].items()
    ]
    run = [
        ("scored in", number(metrics["seconds"], 1, "s")),
        ("frames per second", number(metrics["frames_per_s"], 1)),
    ]
    if metrics.get("segmenter_frames_per_s"):
        run.append(("the model alone", number(metrics["segmenter_frames_per_s"], 1)))
    if metrics.get("copies", 1) > 1:
        run.append(("copies of the model side by side", str(metrics["copies"])))
    live = metrics.get("live") or {}
    played = [
        (key.replace("_", " "), f"{value:.1f}" if isinstance(value, float) else str(value))
        for key, value in live.items()
        if isinstance(value, int | float | str)
    ]
    stages = [(name, number(ms, 2, "ms")) for name, ms in live.get("stage_ms", {}).items()]
    return [
        ("Recording", recorded),
        ("Live", played),
        ("One frame in the node, median", stages),
        ("Weights", [(key.replace("_", " "), str(v)) for key, v in metrics["weights"].items()]),
        ("Scored with", [(k.replace("_", " "), str(v)) for k, v in metrics["scored_with"].items()]),
        ("Temperature", temperature_facts(metrics)),
        ("Run", run),
        machine_facts(metrics["machine"]),
    ]
