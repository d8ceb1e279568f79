"""``python -m bisenet_ros frontier``."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bisenet_ros.cli.options import Device
from bisenet_ros.datasets import DATASETS
from bisenet_ros.inference.engines import ENGINES

if TYPE_CHECKING:
    from bisenet_ros.benchmark.frontier import Candidate, Examples, FrontierPlan
    from bisenet_ros.datasets import LabelledSet


def frontier(
    weights: Annotated[
        list[Path] | None,
        typer.Argument(help="weights files and exported models; default: the shipped weights"),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="labelled data set that scores them; without: times alone")
    ] = None,
    dataset: Annotated[str, typer.Option(help="its layout: " + ", ".join(DATASETS))] = "auto",
    split: Annotated[str, typer.Option(help="split to score")] = "val",
    int8: Annotated[
        bool, typer.Option("--int8", help="also quantise each weights file to int8")
    ] = False,
    calibrate_split: Annotated[str, typer.Option(help="split that sets the ranges of int8")] = (
        "train"
    ),
    reference: Annotated[
        Path | None,
        typer.Option(help="model that the others are timed in turn with; default: the shipped one"),
    ] = None,
    size: Annotated[
        str, typer.Option(help="input size that weights files are timed at, HEIGHTxWIDTH")
    ] = "512x1024",
    score_size: Annotated[
        str, typer.Option(help="that they are scored at; empty: from the weights")
    ] = "",
    camera: Annotated[str, typer.Option(help="camera image size, HEIGHTxWIDTH")] = "720x1280",
    device: Device = "auto",
    engine: Annotated[
        str, typer.Option(help=f"of weights files: auto, {', '.join(ENGINES)}")
    ] = "auto",
    precision: Annotated[
        str, typer.Option(help="of weights files: auto, fp32, fp16, bf16; int8 with tensorrt")
    ] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads; 0: one per core", min=0, max=1024)] = 0,
    pairs: Annotated[int, typer.Option(help="measured pairs per model", min=1, max=10000)] = 20,
    peers: Annotated[
        Path | None,
        typer.Option(help="other projects' times; default: benchmarks/peers.yaml of the checkout"),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="draw them to this PNG file")] = None,
    json: Annotated[Path | None, typer.Option(help="write all figures to this file")] = None,
) -> None:
    """Time and score models beside the shipped weights: accuracy against milliseconds."""
    from rich.console import Console

    from bisenet_ros.benchmark.frontier import candidates, mark_frontier, time_rows
    from bisenet_ros.benchmark.frontier_table import show
    from bisenet_ros.benchmark.peers import kept_file, read_peers
    from bisenet_ros.cli.terminal import interruptible
    from bisenet_ros.datasets import open_set
    from bisenet_ros.datasets.registry import find_kind
    from bisenet_ros.errors import ArgumentError
    from bisenet_ros.system.atomic_files import check_writable, write_json
    from bisenet_ros.system.optional import needed

    if int8 and data is None:
        raise ArgumentError("--int8 is calibrated and scored with images; pass --data, too")
    for path, option in ((json, "--json"), (plot, "--plot")):
        if path is not None:
            check_writable(path, option)
    if plot is not None:
        needed("matplotlib", "tools", "--plot")
    kept = kept_file() if peers is None else peers
    others = None if kept is None else read_peers(kept)
    plan = _plan(
        (weights or [], reference),
        (device, precision, engine),
        (size, score_size, camera),
        (int8, threads, pairs),
    )
    console = Console()
    with interruptible(), tempfile.TemporaryDirectory(prefix="bisenet-frontier-") as folder:
        labelled, examples = None, None
        if data is not None:
            found = find_kind(dataset, data)
            labelled = open_set(found.format, found.root, split)
            if int8:
                examples = _examples(open_set(found.format, found.root, calibrate_split))
        with console.status("starting") as status:
            rows = candidates(plan, Path(folder), examples, status.update)
            measured = time_rows(plan, rows, status.update)
            if labelled is not None:
                measured["data"] = _facts(labelled, data, found.format)
                for row, entry in zip(rows, measured["rows"], strict=True):
                    entry |= _score(row, entry, plan, labelled, status.update)
        mark_frontier(measured["rows"])
    beside = None if others is None else others.beside(measured)
    show(measured, beside, console)  # before anything is written, which may fail
    if json is not None:
        write_json(json, {**measured, "peers": None if beside is None else asdict(beside)})
    if plot is not None:
        from bisenet_ros.benchmark.frontier_plot import draw

        draw(measured, beside, plot)


def _plan(
    files: tuple[list[Path], Path | None],
    words: tuple[str, str, str],
    sizes: tuple[str, str, str],
    numbers: tuple[bool, int, int],
) -> FrontierPlan:
    """The options as a plan."""
    from bisenet_ros.benchmark.frontier import FrontierPlan
    from bisenet_ros.cli.sizes import parse_size
    from bisenet_ros.errors import ArgumentError
    from bisenet_ros.inference.device import choose
    from bisenet_ros.inference.engines import selection
    from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file

    given, reference = files
    device, precision, engine = words
    size, score_size, camera = sizes
    int8, threads, pairs = numbers
    selection.check(engine, device, precision)
    if int8 and choose(device).device.type == "cuda":
        raise ArgumentError(
            "--int8 is of the CPU's runtimes here; pass --device cpu, or time TensorRT's with "
            "--engine tensorrt --precision int8"
        )
    shipped = None if given and reference else share_file(SHIPPED_WEIGHTS)
    chosen = tuple(given) or (shipped,)
    return FrontierPlan(
        files=tuple(path for path in chosen if path is not None),
        reference=reference or shipped or given[0],
        int8=int8,
        device=device,
        precision=precision,
        engine=engine,
        size=parse_size(size, "--size"),
        score_size=parse_size(score_size, "--score-size") if score_size else None,
        camera=parse_size(camera, "--camera"),
        threads=threads or len(os.sched_getaffinity(0)),
        pairs=pairs,
    )


def _examples(labelled: LabelledSet) -> Examples:
    from bisenet_ros.inference.export.calibration import calibration_images

    return lambda size: calibration_images(labelled, size)


def _facts(labelled: LabelledSet, folder: Path | None, dataset: str) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "dataset": dataset,
        "split": labelled.split,
        "images": len(labelled),
    }


def _score(
    row: Candidate,
    timed: dict[str, Any],
    plan: FrontierPlan,
    labelled: LabelledSet,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """The score of a row as ``evaluate`` computes it, on the engine that was timed."""
    from bisenet_ros.cli.class_groups import with_same_classes
    from bisenet_ros.cli.inference_options import InferenceOptions, check_classes, read_model
    from bisenet_ros.inference.export.reader import is_exported
    from bisenet_ros.metrics import dataset
    from bisenet_ros.metrics.confusion import defined

    exported = is_exported(row.scored)
    engine, precision = ("", "") if exported else (timed["engine"], timed["precision"])
    options = InferenceOptions(plan.device, engine, precision, row.score_size)
    model = read_model(row.scored, options)
    model, scored = with_same_classes(model, labelled, "")
    for warning in check_classes(row.weights, model.card.labels, labelled.source, scored.labels):
        print(f"warning: {warning}", file=sys.stderr)
    count = len(scored)
    found = dataset.evaluate(
        model.predict,
        scored,
        len(scored.labels),
        lambda done: progress(f"scoring {row.name}: {done} of {count} images"),
    )
    width, _, height = model.settings["input"].partition(" × ")
    return {
        "miou": defined(found.scores.miou),
        "pixel_accuracy": defined(found.scores.pixel_accuracy),
        "score_size": f"{height}x{width}",
    }
