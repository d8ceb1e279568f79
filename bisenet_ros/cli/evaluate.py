"""``python -m bisenet_ros evaluate``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bisenet_ros.cli.class_groups import with_same_classes
from bisenet_ros.cli.inference_options import (
    InferenceOptions,
    LoadedModel,
    check_classes,
    parse_scales,
    read_model,
)
from bisenet_ros.cli.options import (
    Device,
    HoldOut,
    ImageTopic,
    InputSize,
    LabelColors,
    LabelTopic,
    MaxDt,
    MinMiou,
    ResizeMasks,
    SkipUnlabelled,
)
from bisenet_ros.cli.terminal import (
    class_table,
    command_line,
    figure_table,
    interruptible,
    progress,
)
from bisenet_ros.datasets import DATASETS
from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference.engines import ENGINES
from bisenet_ros.report.formatting import percent

if TYPE_CHECKING:
    from rich.console import Console

    from bisenet_ros.datasets import LabelledSet
    from bisenet_ros.metrics.dataset import Evaluated, ImageScores

COLUMNS = {
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "boundary_f": "boundary F",
    "share": "share",
}
ENDS = 3  # images shown of the best and of the worst each
OPACITY = 0.5  # of the overlays, as in the node


def evaluate(
    context: typer.Context,
    recordings: Annotated[
        list[str] | None,
        typer.Argument(help="more recordings: what a shell makes of --bag *.mcap"),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="data set folder")] = None,
    bag: Annotated[
        list[str] | None,
        typer.Option(help="bag, video, folder of bags or glob to score; can be repeated"),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(help="weights file; default: the shipped one; two to compare them"),
    ] = None,
    dataset: Annotated[str, typer.Option(help="data set layout: " + ", ".join(DATASETS))] = "auto",
    split: Annotated[str, typer.Option(help="split to score")] = "val",
    classes: Annotated[
        str, typer.Option(help="classes to score, comma-separated, or a YAML file that groups them")
    ] = "",
    json: Annotated[Path | None, typer.Option(help="write all measurements to this file")] = None,
    report: Annotated[
        Path | None, typer.Option(help="folder for report.html and metrics.json")
    ] = None,
    min_miou: MinMiou = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="also average in the mirrored image")
    ] = False,
    scales: Annotated[
        str, typer.Option(help="scales to average, comma-separated: 0.75,1,1.25")
    ] = "1",
    size: InputSize = "",
    device: Device = "auto",
    engine: Annotated[
        str,
        typer.Option(help=f"run on this engine: auto, {', '.join(ENGINES)}; default: torch"),
    ] = "",
    precision: Annotated[
        str, typer.Option(help="auto, fp32, fp16, bf16; default: fp32, which is exact")
    ] = "",
    reference: Annotated[
        bool,
        typer.Option("--reference", help="run the plain network instead: same score, slower"),
    ] = False,
    val_share: Annotated[
        float, typer.Option(help="val fraction of a folder without splits", min=0, max=1)
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="seed of that random split")] = 1,
    group_by: Annotated[
        str, typer.Option(help="of that split: folder, prefix or a regex; see train")
    ] = "",
    hold_out: HoldOut = "",
    stuff_only: Annotated[
        bool, typer.Option("--stuff-only", help="only COCO-Stuff's stuff classes")
    ] = False,
    resize_masks: ResizeMasks = False,
    skip_unlabelled: SkipUnlabelled = False,
    fail_if_worse: Annotated[
        float | None,
        typer.Option(
            help="with two weights: exit with 1 if the second loses more points of mIoU (0: any)",
            metavar="[POINTS]",
            min=0,
        ),
    ] = None,
    fit_temperature: Annotated[
        Path | None,
        typer.Option(
            help="fit the confidence's temperature on the labels, write the weights with it to "
            "this new file, and score that",
            metavar="FILE",
        ),
    ] = None,
    image_topic: ImageTopic = None,
    label_topic: LabelTopic = None,
    label_colors: LabelColors = None,
    max_dt: MaxDt = 0.0,
    every: Annotated[int, typer.Option(help="use every Nth frame of a recording", min=1)] = 1,
    start: Annotated[float, typer.Option(help="skip the first seconds of it", min=0)] = 0.0,
    duration: Annotated[float | None, typer.Option(help="seconds to use of it", min=0)] = None,
    limit: Annotated[int | None, typer.Option(help="most frames to use of it", min=1)] = None,
    batch: Annotated[int, typer.Option(help="frames per inference", min=1, max=256)] = 1,
    workers: Annotated[
        int, typer.Option(help="processes that share several recordings", min=1, max=256)
    ] = 1,
    ray: Annotated[
        str, typer.Option(help="address of a Ray cluster that shares them; 'local' to start one")
    ] = "",
) -> None:
    """Score weights on a labelled data set or on recordings, or compare two of them."""
    from bisenet_ros.cli import evaluate_recordings

    if evaluate_recordings.is_asked(context) or data is None:
        return evaluate_recordings.run(context)
    from rich.console import Console

    from bisenet_ros.cli.sizes import parse_size
    from bisenet_ros.datasets import DatasetOptions, open_set
    from bisenet_ros.datasets.registry import find_kind
    from bisenet_ros.errors import BarNotMet
    from bisenet_ros.system.atomic_files import check_writable
    from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file

    fixed = parse_size(size, "--size") if size else None
    options = InferenceOptions(
        device, engine, precision, fixed, flip, parse_scales(scales), reference
    )
    if json is not None:
        check_writable(json, "--json")
    console = Console()
    with interruptible():
        model = read_model(weights[0] if weights else share_file(SHIPPED_WEIGHTS), options)
        found = find_kind(dataset, data)
        reading = DatasetOptions(
            val_share, seed, stuff_only, resize_masks, skip_unlabelled, group_by, classes, hold_out
        )
        labelled = open_set(found.format, found.root, split, reading)
        model, labelled = with_same_classes(model, labelled, classes)
        fitted: dict[str, Any] = {}
        if fit_temperature is not None:
            model, fitted = _fitted(model, labelled, options, fit_temperature, context, console)
        facts = {
            **fitted,
            "min_miou": min_miou,
            "data": _data_facts(found.format, data, labelled),
            "command": command_line(context),
        }
        metrics = _run(model, labelled, facts, json, report, console)
    if report is not None:
        console.print(str(report / "report.html"), highlight=False, markup=False)
    if min_miou is not None and metrics["miou"] < min_miou:
        raise BarNotMet(
            f"{model.path} scores {metrics['miou']:.4f} mIoU on {metrics['scored']} images of "
            f"{data}; --min-miou requires at least {min_miou:g}"
        )
    return None


def _fitted(
    model: LoadedModel,
    labelled: LabelledSet,
    options: InferenceOptions,
    target: Path,
    context: typer.Context,
    console: Console,
) -> tuple[LoadedModel, dict[str, Any]]:
    """The model with the temperature that fits, as written to ``target``, and the figures."""
    from bisenet_ros.cli.fitting import TemperatureOptions, fit_and_write
    from bisenet_ros.replay.dataset_frames import DatasetFrames

    asked = TemperatureOptions(model.path, target, options.device, options.size)
    asked.check(model.card)
    if not options.as_in_node:
        raise ArgumentError(
            "--fit-temperature is for the node, which sees each image once; drop --flip, --scales "
            "and --reference"
        )
    source = DatasetFrames(labelled, str(labelled.source), len(labelled.labels))
    facts = fit_and_write(asked, source, None, command_line(context), console)
    return read_model(target, options), facts


def _run(
    model: LoadedModel,
    labelled: LabelledSet,
    facts: dict[str, Any],
    json: Path | None,
    report: Path | None,
    console: Console,
) -> dict[str, Any]:
    """Score, print the scores, write the requested files, and return all measurements."""
    from bisenet_ros.metrics import dataset
    from bisenet_ros.system.atomic_files import staged, write_json
    from bisenet_ros.system.machine import describe

    labels, data = labelled.labels, facts["data"]
    where = f"{data['folder']} ({data['dataset']}, {data['split']})"
    warnings = check_classes(model.path, model.card.labels, where, labels)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    with contextlib.ExitStack() as stack:
        # Entered first, so that an unwritable folder fails before the scoring, not after it.
        scratch = None if report is None else stack.enter_context(staged(report, "--report"))
        with progress(console, len(labelled), "images") as on_progress:
            evaluated = dataset.evaluate(
                model.predict, labelled, len(labels), lambda done: on_progress("scoring", done)
            )
            metrics = {
                **evaluated.figures(labels),
                **facts,
                "warnings": warnings,
                "weights": model.facts(),
                "scored_with": model.settings,
                "machine": describe(),
            }
        _show(metrics, console)  # before anything is written, which may fail
        if json is not None:
            write_json(json, metrics)
        if scratch is not None:
            with console.status("writing the report"):
                write_json(scratch / "results" / "metrics.json", metrics)
                _write_report(scratch / "results", metrics, evaluated, model, labelled)
    return metrics


def _data_facts(dataset: str, folder: Path, labelled: LabelledSet) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "split": labelled.split,
        "folder": str(folder),
        "source": labelled.source,
        "licence": labelled.licence,
    }


def _write_report(
    folder: Path,
    metrics: dict[str, Any],
    evaluated: Evaluated,
    model: LoadedModel,
    labelled: LabelledSet,
) -> None:
    """Write report.html; its few images are run again rather than kept in memory."""
    from bisenet_ros.inference.cpu.overlay import blend
    from bisenet_ros.metrics.dataset import ends
    from bisenet_ros.report.data import ReportData, ReportImage
    from bisenet_ros.report.dataset import render
    from bisenet_ros.report.figure import View
    from bisenet_ros.system.atomic_files import write_bytes

    palette = labelled.labels.palette()

    def shown(scored: ImageScores) -> ReportImage:
        image, truth = labelled.read(scored.index)
        mask = model.predict(image)
        view = View(image, truth, mask, blend(image, mask, palette, OPACITY))
        return ReportImage(scored.name, scored.miou, view)

    best, worst = ([shown(one) for one in end] for end in ends(evaluated.images, ENDS))
    page = render(ReportData(metrics, labelled.labels, best, worst))
    write_bytes(folder / "report.html", page.encode())


def _show(metrics: dict[str, Any], console: Console) -> None:
    figures = [
        ("mIoU", percent(metrics["miou"], 2)),
        ("pixel accuracy", percent(metrics["pixel_accuracy"], 2)),
        ("frequency-weighted IoU", percent(metrics["frequency_weighted_iou"], 2)),
        ("boundary F", percent(metrics["boundary_f"], 2)),
        ("images", str(metrics["scored"])),
    ]
    classes = class_table(metrics["per_class"], COLUMNS)
    console.print("", figure_table(figures), "", classes, "", sep="\n")
    used = metrics["scored_with"]
    how = f"{used['engine']} {used['precision']} on {used['device']}, input {used['input']}"
    console.print(how, "", sep="\n", highlight=False, markup=False)
