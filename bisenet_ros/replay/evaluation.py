"""Score a model on one recording, and leave a folder that people and programs can read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bisenet_ros.errors import DataError
from bisenet_ros.inference.cpu.overlay import blend
from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.bag_frames import BagOptions
from bisenet_ros.recordings.frame_stream import (
    FrameSource,
    RecordedFrame,
    read_chosen,
)
from bisenet_ros.recordings.media_frames import open_frames
from bisenet_ros.recordings.remote import local_copy
from bisenet_ros.replay.frame_scores import FIGURES, TIMES, FrameRecords
from bisenet_ros.replay.label_files import label_coding
from bisenet_ros.replay.model import ModelOptions, inference_facts, weights_facts
from bisenet_ros.replay.outputs import cannot_write, write_frames, write_metrics
from bisenet_ros.replay.predict import frame_rate
from bisenet_ros.replay.predictor import Prediction, Predictor, SegmenterPredictor
from bisenet_ros.replay.report_extras import ReportExtras
from bisenet_ros.replay.score import ScoredRecording, ScoreOptions, bare_rate, score
from bisenet_ros.replay.side_by_side import run_model
from bisenet_ros.report.film import Film
from bisenet_ros.report.filmstrip import Filmstrip
from bisenet_ros.report.formatting import percent
from bisenet_ros.report.pictures import frame_tiles, present
from bisenet_ros.report.recording import RecordingReportData, ShownFrame, render
from bisenet_ros.system.atomic_files import staged, write_bytes
from bisenet_ros.system.machine import describe

OPACITY = 0.5  # of overlays that the model has not made, as in the node
FILM_WIDTH = 960  # pixels; wider overlays are shrunk for the report's film
BARE_FRAMES = 16
METRICS, FRAMES, FILM, PAGE = "metrics.json", "frames.csv", "overlay.mp4", "report.html"

OnFrame = Callable[[RecordedFrame, Prediction], None]


@dataclass(frozen=True)
class RecordingOptions:
    """How recordings are read and scored; plain values, so that it can go to another process.

    Attributes:
        image_topic, label_topic: of bags; None to find them, an empty label topic for no labels.
        label_colours: file that lists the ids or colours of the labels; None for the model's ids.
        max_dt_s: how far apart the stamps of an image and its label may be.
        score: which frames, and which figures.
        bare: whether to time the model alone as well.
    """

    image_topic: str | None = None
    label_topic: str | None = None
    label_colours: Path | None = None
    max_dt_s: float = 0.0
    score: ScoreOptions = field(default_factory=ScoreOptions)
    bare: bool = False

    def open(self, name: str, labels: LabelSet) -> FrameSource:
        """Open a recording at a path or a URL for a model with these classes; close it later.

        Raises:
            ArgumentError: topics are chosen in something that is not a bag.
            DataError: it is missing or cannot be read, or its labels are not the model's.
        """
        coding, warnings = label_coding(labels, self.label_colours)
        options = BagOptions(self.image_topic, self.label_topic, coding, self.max_dt_s)
        source = open_frames(local_copy(name), options)
        for text in warnings:
            source.notes.warn(text)
        return source


@dataclass(frozen=True)
class Listeners:
    """Callbacks of a run in progress.

    Attributes:
        on_start: gets the number of frames to come; None where nobody knows.
        on_progress: gets the number of frames done.
        on_scored: gets the figures before anything is written.
    """

    on_start: Callable[[int | None], None] | None = None
    on_progress: Callable[[int], None] | None = None
    on_scored: Callable[[dict[str, Any]], None] | None = None


def evaluate_recording(
    name: str,
    model: ModelOptions | SegmenterPredictor,
    options: RecordingOptions,
    out: Path,
    facts: dict[str, Any] | None = None,
    listeners: Listeners | None = None,
) -> dict[str, Any]:
    """Score a model on a recording and write metrics.json, frames.csv, overlay.mp4, report.html.

    Ctrl-C ends the scoring: what was scored until then is written, marked as partial. Files
    appear in ``out`` together, at the end, or not at all.

    Args:
        name: the recording.
        model: the model, or how to load it.
        options: how.
        out: the folder; created if needed.
        facts: further content of metrics.json: ``command``, ``min_miou``.
        listeners: callbacks of the run.

    Returns:
        The content of metrics.json.

    Raises:
        DataError: not one frame can be scored, a label does not fit the model, or the disk is
            full.
        ArgumentError: an option does not fit, or ``out`` cannot be written.
        KeyboardInterrupt: interrupted before the first frame.
    """
    predictor = model.load() if isinstance(model, ModelOptions) else model
    with closing(options.open(name, predictor.labels)) as source:
        alone = None
        if options.bare and not source.live:
            alone = _bare_rate(name, options, predictor)
        known = {
            "segmenter_frames_per_s": alone,
            "weights": weights_facts(predictor.segmenter.weights, predictor.segmenter.card),
            "scored_with": inference_facts(predictor.segmenter),
        }
        return evaluate_source(
            source, predictor, options.score, out, {**known, **(facts or {})}, listeners
        )


def evaluate_source(
    source: FrameSource,
    predictor: Predictor,
    options: ScoreOptions,
    out: Path,
    facts: dict[str, Any],
    listeners: Listeners | None = None,
    extras: ReportExtras | None = None,
) -> dict[str, Any]:
    """Score an open recording and write the same files; the recording stays open.

    Arguments, result and errors as of :func:`evaluate_recording`; ``facts`` hold ``weights`` and
    ``scored_with`` as well, and ``extras`` add to film and report.
    """
    listeners, extras = listeners or Listeners(), extras or ReportExtras()
    if listeners.on_start is not None:
        listeners.on_start(options.selection.expected(source))
    with staged(out, "--report") as scratch:
        results = scratch / "results"
        scored, film, strip = _score(source, predictor, options, results, listeners, extras)
        metrics = {
            **scored.figures(),
            "segmenter_frames_per_s": None,
            "min_miou": None,
            "command": "",
            "machine": describe(),
            **facts,
        }
        if listeners.on_scored is not None:
            listeners.on_scored(metrics)
        write_metrics(results / METRICS, metrics)
        write_frames(results / FRAMES, scored.scores.records, predictor.labels.names)
        data = _report_data(source, predictor, scored, metrics, film, strip)
        try:
            page = render(extras.add(data, scored.scores, source, predictor, results))
            write_bytes(results / PAGE, page.encode())
        except OSError as error:
            raise cannot_write(out / PAGE, error) from error
    return metrics


def _bare_rate(name: str, options: RecordingOptions, predictor: Predictor) -> float:
    """Frames per second of the model alone, on the first frames; opened anew, so that what is wrong
    with them is not counted twice.
    """
    with closing(open_frames(local_copy(name), BagOptions(options.image_topic, ""))) as again:
        return bare_rate(again, predictor, BARE_FRAMES, options.score.batch)


def _score(
    source: FrameSource,
    predictor: Predictor,
    options: ScoreOptions,
    folder: Path,
    listeners: Listeners,
    extras: ReportExtras,
) -> tuple[ScoredRecording, Film, Filmstrip]:
    strip = Filmstrip()
    rate = frame_rate(source) / options.selection.every
    palette = predictor.labels.palette()
    with Film(folder / FILM, rate, FILM_WIDTH) as film:

        def on_frame(frame: RecordedFrame, prediction: Prediction) -> None:
            overlay = prediction.overlay
            if overlay is None:
                overlay = blend(frame.rgb, prediction.mask, palette, OPACITY)
            strip.add(film.frames, overlay)
            film.add(frame.stamp_ns, extras.film_picture(overlay, prediction.mask))

        asked = replace(options, overlays=True)
        scored = score(source, predictor, asked, on_frame, listeners.on_progress)
        if not scored.run.frames:
            raise KeyboardInterrupt  # before the first frame: there is nothing to keep
    return scored, film, strip


def _report_data(
    source: FrameSource,
    predictor: Predictor,
    scored: ScoredRecording,
    metrics: dict[str, Any],
    film: Film,
    strip: Filmstrip,
) -> RecordingReportData:
    found = scored.scores
    worst, unstable = found.worst(), found.most_unstable()
    shown, seen = show_frames(source, predictor, found.records, [*worst, *unstable])
    return RecordingReportData(
        metrics=metrics,
        labels=predictor.labels,
        columns=columns(found.records),
        shares=found.records.shares,
        film=film.path if film.frames else None,
        film_times=film.times,
        strip=strip.pictures(),
        worst=[shown[place] for place in worst if place in shown],
        unstable=[shown[place] for place in unstable if place in shown],
        seen=seen,
        warnings=note_lines(metrics["notes"]),
    )


def columns(records: FrameRecords) -> dict[str, Any]:
    """The figures of each frame by name."""
    names = ("index", "stamp_ns", "width", "height", *FIGURES, *(f"{time}_ms" for time in TIMES))
    return {name: records.column(name) for name in names}


def show_frames(
    source: FrameSource, predictor: Predictor, records: FrameRecords, places: Sequence[int]
) -> tuple[dict[int, ShownFrame], set[int]]:
    """Frames with their pictures by place, and the ids in them; read and segmented once more.

    Empty for a live source, which cannot be read again.
    """
    shown: dict[int, ShownFrame] = {}
    seen: set[int] = set()
    if source.live:
        return shown, seen
    index = records.column("index")
    by_index = {int(index[place]): place for place in places}
    labels = predictor.labels
    palette = labels.palette()
    with closing(read_chosen(source, set(by_index))) as frames:
        for frame in frames:
            place = by_index[frame.index]
            (found,) = run_model(predictor, [frame])
            rgb = frame.rgb
            overlay = blend(rgb, found.mask, palette, OPACITY)
            tiles = frame_tiles(rgb, frame.truth, found.mask, found.confidence, overlay, labels)
            shown[place] = ShownFrame(place, _figures(records.row(place)), tiles)
            seen |= present(frame.truth, found.mask)
    return shown, seen


def _figures(row: dict[str, Any]) -> list[tuple[str, str]]:
    shown = [] if not row["name"] else [("", row["name"])]
    for key, name, digits in (
        ("miou", "mIoU", 1),
        ("flicker", "flicker", 2),
        ("disagreement", "disagreement", 1),
        ("confidence", "confidence", 1),
    ):
        if row[key] is not None:
            shown.append((name, percent(row[key], digits)))
    return shown


def note_lines(notes: dict[str, Any]) -> list[str]:
    """What was unusual about a recording, as sentences."""
    lines = list(notes["warnings"])
    for what in ("images", "labels"):
        count = notes["counts"].get(f"broken_{what}", 0)
        if count:
            reasons = "; ".join(notes["reasons"])
            lines.append(f"{count} {what} cannot be decoded and are left out ({reasons})")
    return lines


def require_truth(metrics: dict[str, Any], option: str) -> float:
    """The mIoU; DataError where there were no labels, so that a bar cannot be held against it."""
    if metrics["miou"] is None:
        raise DataError(
            f"{metrics['source']['path']} has no labelled pixels, so {option} has nothing to "
            "judge; pass --label-topic, --label-colors or --max-dt, or drop the option"
        )
    return float(metrics["miou"])
