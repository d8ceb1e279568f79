"""``evaluate`` on recordings, and with two models: what cli/evaluate.py hands over."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bisenet_ros.cli.terminal import (
    INTERRUPTED,
    FrameProgress,
    class_table,
    command_line,
    figure_table,
    interruptible,
)
from bisenet_ros.errors import ArgumentError, BarNotMet
from bisenet_ros.report.formatting import number, percent

if TYPE_CHECKING:
    from rich.console import Console

    from bisenet_ros.recordings.frame_stream import FrameSource
    from bisenet_ros.replay.evaluation import RecordingOptions
    from bisenet_ros.replay.model import ModelOptions

COLUMNS = {
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "boundary_f": "boundary F",
    "share": "share",
}
MOST_MODELS = 2
RECORDINGS_ONLY = (
    *("image_topic", "label_topic", "label_colors", "max_dt", "every", "start", "duration"),
    *("limit", "batch", "workers", "ray"),
)


@dataclass(frozen=True)
class Asked:
    """The command line of ``evaluate``, checked.

    Attributes:
        names: recordings; empty for a data set.
        models: one, or two to compare.
        options: how recordings are read and scored.
        values: everything as Typer gives it.
        command: the command as typed.
        fitted: what ``--fit-temperature`` found.
    """

    names: list[str]
    models: list[ModelOptions]
    options: RecordingOptions
    values: dict[str, Any]
    command: str
    fitted: dict[str, Any] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """The folder of the report."""
        from bisenet_ros.cli.recording_options import output_folder

        if self.values["report"] is not None:
            return Path(self.values["report"])
        first = self.names[0] if self.names else str(self.values["data"])
        if len(self.models) > 1:
            return output_folder(None, "compare", first)
        return output_folder(None, "evaluate", first if len(self.names) == 1 else "recordings")

    @property
    def facts(self) -> dict[str, Any]:
        """What metrics.json holds of the command line."""
        return {"command": self.command, "min_miou": self.values["min_miou"], **self.fitted}


def is_asked(context: typer.Context) -> bool:
    """Whether ``evaluate`` was called for something else than one model on a data set."""
    values = context.params
    recordings = values["bag"] or values["recordings"]
    if recordings and values["data"] is not None:
        raise ArgumentError("--data and --bag were both given; pass one of them")
    if not recordings and values["data"] is None:
        raise ArgumentError("nothing to score: pass --data FOLDER or --bag PATH")
    several = len(values["weights"] or ()) > 1
    if values["fail_if_worse"] is not None and not several:
        raise ArgumentError("--fail-if-worse compares two models: pass --weights A --weights B")
    if recordings or several:
        return True
    for option in RECORDINGS_ONLY:
        source = context.get_parameter_source(option)
        if source is not None and source.name == "COMMANDLINE":
            name = option.replace("_", "-")
            raise ArgumentError(f"--{name} is an option of recordings; pass --bag, or drop it")
    return False


def run(context: typer.Context) -> None:
    """Score, compare, write; everything that ``evaluate`` does on recordings."""
    from rich.console import Console

    from bisenet_ros.system.atomic_files import check_writable

    asked = read(context)
    if asked.values["json"] is not None:
        check_writable(asked.values["json"], "--json")
    console = Console()
    if asked.values["fit_temperature"] is not None:
        asked = _with_temperature(asked, console)
    if len(asked.models) > 1:
        _compare(asked, console)
    elif len(asked.names) == 1 and not asked.values["ray"]:
        _score_one(asked, console)
    else:
        from bisenet_ros.cli.evaluate_many import score_many

        score_many(asked, console)


def read(context: typer.Context) -> Asked:
    """Check the command line.

    Raises:
        ArgumentError: options contradict each other.
        DataError: a path matches nothing.
    """
    from bisenet_ros.cli import recording_options as shared
    from bisenet_ros.cli.sizes import parse_size
    from bisenet_ros.recordings.several import find_recordings
    from bisenet_ros.replay.evaluation import RecordingOptions
    from bisenet_ros.replay.model import ModelOptions
    from bisenet_ros.replay.score import ScoreOptions

    values = context.params
    if values["flip"] or values["scales"] != "1":
        raise ArgumentError(
            "--flip and --scales score a data set with one model; recordings and comparisons run "
            "as in the node, which sees each image once"
        )
    weights = values["weights"] or [None]
    if len(weights) > MOST_MODELS:
        raise ArgumentError(f"{len(weights)} --weights were given; expected one, or two to compare")
    size = parse_size(values["size"], "--size") if values["size"] else None
    models = [
        ModelOptions(
            shared.existing_weights(path),
            values["device"],
            values["precision"] or "auto",
            values["engine"] or "auto",
            size,
        )
        for path in weights
    ]
    chosen = shared.selection(values["every"], values["start"], values["duration"], values["limit"])
    options = RecordingOptions(
        values["image_topic"],
        values["label_topic"],
        values["label_colors"],
        values["max_dt"],
        ScoreOptions(chosen, values["batch"]),
        bare=values["json"] is not None and len(models) == 1,
    )
    names = find_recordings([*(values["bag"] or ()), *(values["recordings"] or ())])
    return Asked(names, models, options, values, command_line(context))


def _with_temperature(asked: Asked, console: Console) -> Asked:
    """The model with the temperature that fits the recordings' labels."""
    from bisenet_ros.checkpoints import read_card
    from bisenet_ros.cli.fitting import TemperatureOptions, fit_and_write
    from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file

    if len(asked.models) > 1:
        raise ArgumentError("--fit-temperature is for one model; pass one --weights")
    (model,) = asked.models
    weights, target = model.weights or share_file(SHIPPED_WEIGHTS), asked.values["fit_temperature"]
    options = TemperatureOptions(weights, target, model.device, model.size)
    options.check()
    with interruptible(), _opened(asked, read_card(weights).labels) as source:
        selection = asked.options.score.selection
        fitted = fit_and_write(options, source, selection, asked.command, console)
    return replace(asked, models=[replace(model, weights=target)], fitted=fitted)


def _score_one(asked: Asked, console: Console) -> None:
    from bisenet_ros.cli.recording_options import print_notes
    from bisenet_ros.replay.evaluation import Listeners, evaluate_recording, require_truth
    from bisenet_ros.system.atomic_files import write_json

    with interruptible(), FrameProgress(console, "scoring") as bar:

        def on_scored(metrics: dict[str, Any]) -> None:
            bar.stop()
            show(metrics, console)
            print_notes(metrics["notes"])

        listeners = Listeners(bar.start, bar, on_scored)
        metrics = evaluate_recording(
            asked.names[0], asked.models[0], asked.options, asked.out, asked.facts, listeners
        )
        if asked.values["json"] is not None:
            write_json(asked.values["json"], metrics)
    console.print(str(asked.out / "report.html"), highlight=False, markup=False, soft_wrap=True)
    _end_if_partial(metrics, asked, console)
    least = asked.values["min_miou"]
    if least is not None and require_truth(metrics, "--min-miou") < least:
        raise BarNotMet(
            f"{asked.names[0]} scores {metrics['miou']:.4f} mIoU on {metrics['labelled_frames']} "
            f"labelled frames; --min-miou requires at least {least:g}"
        )


def _compare(asked: Asked, console: Console) -> None:
    from bisenet_ros.cli.recording_options import print_notes
    from bisenet_ros.replay.comparison import check_bars, compare_models
    from bisenet_ros.replay.evaluation import Listeners
    from bisenet_ros.system.atomic_files import write_json

    facts = {**asked.facts, "fail_if_worse": asked.values["fail_if_worse"]}
    with interruptible(), FrameProgress(console, "comparing") as bar:

        def on_scored(metrics: dict[str, Any]) -> None:
            bar.stop()
            show_difference(metrics, console)
            print_notes(metrics["notes"])

        first, second = (model.load() for model in asked.models)
        with _opened(asked, first.labels) as source:
            metrics = compare_models(
                source,
                first,
                second,
                asked.options.score,
                asked.out,
                facts,
                Listeners(bar.start, bar, on_scored),
            )
        if asked.values["json"] is not None:
            write_json(asked.values["json"], metrics)
    console.print(str(asked.out / "report.html"), highlight=False, markup=False, soft_wrap=True)
    _end_if_partial(metrics, asked, console)
    check_bars(metrics, asked.values["min_miou"], asked.values["fail_if_worse"])


@contextlib.contextmanager
def _opened(asked: Asked, labels: Any) -> Iterator[FrameSource]:
    """The recordings one after the other, or the data set, as one source of frames."""
    from bisenet_ros.recordings.chained import ChainedFrames

    if not asked.names:
        yield _data_set(asked, labels)
        return
    with contextlib.ExitStack() as stack:
        sources = []
        for name in asked.names:
            source = asked.options.open(name, labels)
            stack.enter_context(closing(source))
            sources.append(source)
        yield sources[0] if len(sources) == 1 else ChainedFrames(sources)


def _data_set(asked: Asked, labels: Any) -> FrameSource:
    import sys

    from bisenet_ros.cli.inference_options import check_classes
    from bisenet_ros.datasets import DatasetOptions, open_set
    from bisenet_ros.datasets.registry import find_kind
    from bisenet_ros.replay.dataset_frames import DatasetFrames

    values = asked.values
    found = find_kind(values["dataset"], values["data"])
    reading = DatasetOptions(
        values["val_share"],
        values["seed"],
        values["stuff_only"],
        values["resize_masks"],
        values["skip_unlabelled"],
        values["group_by"],
        values["classes"],
        values["hold_out"],
    )
    labelled = open_set(found.format, found.root, values["split"], reading)
    where = f"{values['data']} ({found.format}, {labelled.split})"
    path = asked.models[0].weights or Path("the shipped weights")
    for warning in check_classes(path, labels, where, labelled.labels):
        print(f"warning: {warning}", file=sys.stderr)
    return DatasetFrames(labelled, str(values["data"]), len(labels))


def _end_if_partial(metrics: dict[str, Any], asked: Asked, console: Console) -> None:
    if metrics["partial"]:
        console.print("interrupted: what was scored is kept, and marked as partial")
        raise typer.Exit(INTERRUPTED)


def show(metrics: dict[str, Any], console: Console) -> None:
    """Print a recording's scores."""
    steady = metrics["stability"] or {}
    figures = [("frames", f"{metrics['frames']} ({metrics['labelled_frames']} labelled)")]
    if metrics["per_class"] is not None:
        error = metrics["calibration"]["expected_calibration_error"]
        figures += [
            ("mIoU", percent(metrics["miou"], 2)),
            ("pixel accuracy", percent(metrics["pixel_accuracy"], 2)),
            ("boundary F", percent(metrics["boundary_f"], 2)),
            ("calibration error", percent(error, 2)),
        ]
    if steady:
        figures += [
            ("temporal consistency", percent(steady["temporal_consistency"], 2)),
            ("flicker", percent(steady["flicker"], 2)),
        ]
    figures.append(("mean confidence", percent(metrics["confidence"]["mean"], 2)))
    figures.append(("frames per second", number(metrics["frames_per_s"])))
    if metrics["segmenter_frames_per_s"]:
        figures.append(("the model alone", number(metrics["segmenter_frames_per_s"])))
    console.print("", figure_table(figures), "", sep="\n")
    if metrics["per_class"] is not None:
        console.print(class_table(metrics["per_class"], COLUMNS), "", sep="\n")


def show_difference(metrics: dict[str, Any], console: Console) -> None:
    """Print what a comparison found."""
    from bisenet_ros.report.comparison import points

    figures = [("frames", str(metrics["first"]["frames"]))]
    figures.append(("pixels that differ", percent(metrics["different_pixels"], 2)))
    found = metrics["difference"]
    if found is not None:
        change = found["miou"]
        interval = "too short for an interval"
        if change["low"] is not None:
            interval = f"95 % interval {points(change['low'])} to {points(change['high'])}"
        figures += [
            ("mIoU of A", percent(metrics["first"]["miou"], 2)),
            ("mIoU of B", percent(metrics["second"]["miou"], 2)),
            ("B minus A", f"{points(change['difference'])} points, {interval}"),
            ("pixels gained", f"{metrics['changed_pixels']['gained']:,}"),
            ("pixels lost", f"{metrics['changed_pixels']['lost']:,}"),
        ]
    console.print("", figure_table(figures), "", sep="\n")
