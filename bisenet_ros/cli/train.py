"""``python -m bisenet_ros train``."""

# Annotations are read at run time here, hence no `from __future__ import annotations`.

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

from bisenet_ros.cli.assignments import parse_assignments
from bisenet_ros.cli.terminal import command_line, interruptible, plain, progress
from bisenet_ros.training.recipe import DEFAULTS, Recipe

if TYPE_CHECKING:
    from rich.console import Console

    from bisenet_ros.datasets import Checked, LabelledSet
    from bisenet_ros.training.run import Data, Prepared


SPELLED = {"network_options": ("--network-option",)}  # NAME=VALUE, one each time it is given


def with_recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option to a command for each option of the recipe; None if it is not given."""
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    added = [_parameter(item.name, item.metadata) for item in fields(Recipe)]
    command.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*own, *added)}
    return command


def _parameter(name: str, known: Any) -> inspect.Parameter:
    default = DEFAULTS[name]
    kind: Any = type(default)
    if isinstance(default, list | dict):
        kind = str if isinstance(default, list) else list[str]
    if known["choices"]:
        kind = Literal[known["choices"]]
    shown = ",".join(map(str, default)) if isinstance(default, list | dict) else default
    typer_option = typer.Option(
        *SPELLED.get(name, ()),
        help=known["text"] + (f" [{shown}]" if shown != "" else ""),
        show_default=False,
        rich_help_panel="Recipe",
    )
    annotation = Annotated[Optional[kind], typer_option]  # noqa: UP045
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


@with_recipe_options
def train(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of recipe options; see config/train/")
    ] = None,
    check_data: Annotated[
        bool, typer.Option("--check-data", help="only check every file and count the classes")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="resume exactly from the last.ckpt in --out; by its recipe"),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace the run that the run folder holds")
    ] = False,
    stop_after: Annotated[
        int, typer.Option(help="stop at this step; continue later with --resume", min=0)
    ] = 0,
    json: Annotated[Path | None, typer.Option(help="write the measurements to this file")] = None,
    **options: Any,
) -> None:
    """Train on labelled images and write a weights file for the node.

    Recipe options can be given in --config and on the command line, which takes precedence.
    The run folder gets recipe.yaml, train.txt and val.txt with the names of the images,
    metrics.csv, TensorBoard events, last.ckpt and best.ckpt, and at the end curves.png,
    samples.png and weights.safetensors.
    """
    from rich.console import Console

    from bisenet_ros.system.atomic_files import check_writable, write_json
    from bisenet_ros.training.fine_tuning import as_in_weights
    from bisenet_ros.training.run_folder import (
        RECIPE,
        check_unused,
        claimed,
        first_process,
        write_split_lists,
    )

    recipe = _recipe(_resumed(options, RECIPE) if resume and config is None else config, options)
    out = Path(recipe.out)
    if first_process() and not check_data:
        check_unused(out, resume, overwrite)
    recipe = as_in_weights(recipe, resume)
    if json is not None:
        check_writable(json, "--json")
    console = Console(quiet=os.environ.get("RANK", "0") != "0")  # only rank 0 prints
    with interruptible():
        data = _read(recipe, console, check_data)
        if first_process():
            _warn(data)
        if check_data:
            console.print(_class_table(data))
            return
        with claimed(out, resume, overwrite):
            recipe.write(out / RECIPE)
            write_split_lists((data.training, data.validation), out)
            facts = _run(recipe, data, resume, stop_after, command_line(context), console)
    if json is not None and facts:
        write_json(json, facts)


def _resumed(options: dict[str, Any], name: str) -> Path | None:
    """The recipe that a run's folder holds, if it does."""
    path = Path(options.get("out") or DEFAULTS["out"]) / name
    return path if path.is_file() else None


def _recipe(config: Path | None, options: dict[str, Any]) -> Recipe:
    """The file's options, overridden by those of the command line."""
    for name in ("mean", "std"):
        if options.get(name) is not None:
            options[name] = options[name].split(",")
    for name, flags in SPELLED.items():
        given = options.get(name)
        options[name] = parse_assignments(given, flags[0]) if given else None
    return Recipe.read(config, options)


def _read(recipe: Recipe, console: "Console", whole: bool) -> "Data":
    """Open both splits and check every file, with a progress bar; ``whole``: decode images too."""
    from bisenet_ros.datasets.checking import check
    from bisenet_ros.training.run import read_data

    def checked(labelled: "LabelledSet") -> "Checked":
        with progress(console, len(labelled), "images") as on_progress:
            return check(
                labelled,
                lambda done: on_progress(f"checking {labelled.split}", done),
                whole=whole,
            )

    return read_data(recipe, checked)


def _warn(data: "Data") -> None:
    """Say what was assumed about the data, and which classes occur in no pixel of a split."""
    for note in dict.fromkeys((*data.training.notes, *data.validation.notes)):
        print(f"note: {note}", file=sys.stderr)
    splits = ((data.training, data.counted), (data.validation, data.counted_validation))
    for name in data.training.labels.names:
        missing = [labelled.split for labelled, counted in splits if name in counted.absent]
        if data.training.split in missing:
            what = "so it cannot be learnt; label some, or take the class out"
        else:
            what = "so it cannot be scored; move some images that show it there"
        if missing:
            where = " and ".join(missing)
            print(f"warning: no pixel of {where} has the class {name!r}, {what}", file=sys.stderr)


def _run(
    recipe: Recipe,
    data: "Data",
    resume: bool,
    stop_after: int,
    command: str,
    console: "Console",
) -> dict[str, Any]:
    """Train, export the weights, print the result; returns the measurements."""
    from bisenet_ros.training.export_weights import finish
    from bisenet_ros.training.run import prepare, train
    from bisenet_ros.training.sampling import world

    prepared = prepare(recipe, data, resume)
    _announce(prepared, console, resume)
    with _bar(console) as bar:
        task = bar.add_task("training", total=recipe.iterations, figures="")
        known: dict[str, float] = {}

        def on_progress(figures: dict[str, float]) -> None:
            known.update(figures)
            bar.update(task, completed=known["step"], figures=_figures(known))

        try:
            trainer = train(prepared, resume, stop_after, on_progress)
        except KeyboardInterrupt:
            bar.stop()
            done = known.get("step", 0) // recipe.interval * recipe.interval
            console.print(f"interrupted; --resume continues from step {done:.0f}")
            raise
    if world()[1]:
        return {}
    if stop_after and trainer.global_step < recipe.iterations and not trainer.should_stop:
        console.print(f"stopped at step {trainer.global_step}; --resume continues")
        return {}
    path, scores = finish(prepared, command, str(trainer.strategy.root_device))
    console.print(
        f"val mIoU {scores['val_miou']:.4f}; {path}, curves.png, samples.png", markup=False
    )
    return {"weights": str(path), "steps": trainer.global_step, **scores}


def _figures(known: dict[str, float]) -> str:
    """The latest figures of a run, for the progress bar."""
    text = f"loss {known['loss']:.3f} · {known['images_per_s']:.1f} img/s"
    return text + (f" · mIoU {known['val_miou']:.3f}" if "val_miou" in known else "")


def _announce(prepared: "Prepared", console: "Console", resume: bool) -> None:
    """Print what will be trained, and which tensors the given weights did not provide."""
    recipe, data = prepared.recipe, prepared.data
    height, width = prepared.resolution
    backbone = getattr(prepared.module.network.config, "backbone", "")
    console.print(
        f"{recipe.network}{f' on {backbone}' if backbone else ''}, {len(data.training.labels)} "
        f"classes, for {width}×{height}: {len(data.training)} images to train, "
        f"{len(data.validation)} to validate"
    )
    if recipe.backbone_weights and not resume:
        console.print(f"backbone started from {recipe.backbone_weights}", soft_wrap=True)
    if recipe.weights and not resume:
        fresh = [
            name for name in prepared.reinitialised if not name.endswith("num_batches_tracked")
        ]
        console.print(
            f"started from {recipe.weights}; re-initialised: {', '.join(fresh) or 'nothing'}",
            soft_wrap=True,
            markup=False,
        )


def _class_table(data: "Data") -> Any:
    """Pixels of each class in both splits."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    titles = ("class", "train pixels", "share", "images", "val pixels", "share", "images")
    for title in titles:
        table.add_column(title, justify="left" if title == "class" else "right")
    for index, name in enumerate(data.training.labels.names):
        cells: list[Any] = [plain(name)]
        for counted in (data.counted, data.counted_validation):
            pixels = int(counted.counts[index])
            images = len(counted.images_with(index))
            cells += [f"{pixels:,}", f"{100 * counted.shares[index]:.2f} %", str(images)]
        table.add_row(*cells)
    return table


def _bar(console: "Console") -> Any:
    """A progress bar of steps with the latest figures and the time left, within 80 columns."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        BarColumn(bar_width=6),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
