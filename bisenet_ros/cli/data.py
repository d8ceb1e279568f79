"""``python -m bisenet_ros data``."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bisenet_ros.cli.options import HoldOut, ResizeMasks, SkipUnlabelled
from bisenet_ros.cli.terminal import interruptible, progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from bisenet_ros.datasets.base import LabelledSet
    from bisenet_ros.datasets.recognition import Recognised
    from bisenet_ros.datasets.survey import Survey

MOST_LINES = 20  # of problems on the terminal; --json has all


def data(
    path: Annotated[Path, typer.Argument(help="folder or zip of labelled images")],
    out: Annotated[Path | None, typer.Argument(help="with --to: an empty folder")] = None,
    dataset: Annotated[
        str, typer.Option(help="the format, if it should not be found out by looking")
    ] = "auto",
    check: Annotated[
        bool, typer.Option("--check", help="decode everything; end with 3 if anything is broken")
    ] = False,
    stats: Annotated[bool, typer.Option("--stats", help="count the pixels of each class")] = False,
    show: Annotated[int, typer.Option(help="so many images and labels on one sheet", min=0)] = 0,
    sheet: Annotated[Path, typer.Option(help="where --show writes it: .png or .html")] = Path(
        "contact_sheet.png"
    ),
    json: Annotated[Path | None, typer.Option(help="write all of it here")] = None,
    to: Annotated[
        str, typer.Option(help="convert to OUT: folder, cvat, voc, coco or labelme")
    ] = "",
    val_share: Annotated[
        float, typer.Option(help="of a set without splits: fraction for val", min=0, max=1)
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="seed of the split of a set without splits")] = 1,
    group_by: Annotated[
        str,
        typer.Option(help="kept together in that split: folder, prefix or a regex"),
    ] = "",
    hold_out: HoldOut = "",
    classes: Annotated[
        str, typer.Option(help="only these, comma-separated, or a YAML file that groups them")
    ] = "",
    stuff_only: Annotated[
        bool, typer.Option("--stuff-only", help="COCO-Stuff's stuff classes alone")
    ] = False,
    resize_masks: ResizeMasks = False,
    skip_unlabelled: SkipUnlabelled = False,
) -> None:
    """Say what a folder or zip of labelled images is, check it, show it, convert it."""
    from rich.console import Console

    from bisenet_ros.datasets.options import DatasetOptions
    from bisenet_ros.datasets.registry import open_every_split
    from bisenet_ros.errors import ArgumentError
    from bisenet_ros.system.atomic_files import check_writable

    if bool(to) != (out is not None):
        raise ArgumentError("--to FORMAT and the folder to write go together: data PATH --to F OUT")
    for file, option in ((json, "--json"), (sheet if show else None, "--sheet")):
        if file is not None:
            check_writable(file, option)
    if show and sheet.suffix.lower() not in (".png", ".html"):
        raise ArgumentError(f"--sheet is {sheet}; expected a name that ends in .png or .html")
    options = DatasetOptions(
        val_share, seed, stuff_only, resize_masks, skip_unlabelled, group_by, classes, hold_out
    )
    console = Console()
    with interruptible(), _plain_warnings():
        found, splits = open_every_split(dataset, path, options)
        survey = _survey(found, splits, check, stats or json is not None, console)
        _print(survey, console, counted=check or stats or json is not None)
        if json is not None:
            _write_json(survey, json)
        _stop_if_broken(survey)
        if show:
            _write_sheet(survey, splits, show, sheet, str(path))
            console.print(str(sheet), highlight=False, markup=False)
        if to and out is not None:
            _convert(splits, to, out, console)


def _survey(
    found: Recognised,
    splits: Mapping[str, LabelledSet],
    check: bool,
    count: bool,
    console: Console,
) -> Survey:
    from bisenet_ros.datasets.survey import look_through, outline

    if not check and not count:
        return outline(found, splits)
    with progress(console, sum(map(len, splits.values())), "images") as tell:
        what = "checking" if check else "counting"
        return look_through(found, splits, check, lambda done: tell(what, done))


def _write_json(survey: Survey, path: Path) -> None:
    from bisenet_ros.system.atomic_files import write_json

    write_json(path, survey.as_dict())


def _stop_if_broken(survey: Survey) -> None:
    """End with 3 after everything was listed."""
    from bisenet_ros.errors import DataError

    if survey.fatal:
        first = survey.fatal[0].text
        more = len(survey.fatal) - 1
        raise DataError(f"{first} ({more} more listed above)" if more else first)


def _convert(splits: Mapping[str, LabelledSet], to: str, out: Path, console: Console) -> None:
    from bisenet_ros.datasets.export import export

    with progress(console, sum(map(len, splits.values())), "images") as tell:
        count = export(splits, to, out, lambda done: tell(f"writing {to}", done))
    console.print(f"{count} images as {to} in {out}", highlight=False, markup=False)


def _write_sheet(
    survey: Survey, splits: Mapping[str, LabelledSet], count: int, path: Path, title: str
) -> None:
    from bisenet_ros.recordings.codec import encode_png
    from bisenet_ros.report.contact_sheet import Tile, page, sheet, spread
    from bisenet_ros.system.atomic_files import write_bytes

    tiles = []
    for split, index in spread(survey.splits, count):
        image, ids = splits[split].read(index)
        tiles.append(Tile(split, splits[split].samples[index].name, image, ids))
    if path.suffix.lower() == ".html":
        content = page(tiles, survey.labels, title, survey.as_dict()).encode()
    else:
        content = encode_png(sheet(tiles, survey.labels, title))
    write_bytes(path, content)


def _print(survey: Survey, console: Console, counted: bool) -> None:
    splits = ", ".join(f"{name} {count}" for name, count in survey.splits.items())
    why = f"{survey.found.format}: {survey.found.why}"
    console.print(why, highlight=False, soft_wrap=True, markup=False)
    console.print(f"images: {splits}", highlight=False, markup=False)
    for note in survey.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True, markup=False)
    if counted:
        console.print(_table(survey))
        sizes = [f"{w}×{h} ({count})" for (h, w), count in survey.sizes.most_common(5)]
        more = f" and {len(survey.sizes) - 5} more" if len(survey.sizes) > 5 else ""
        console.print(f"sizes: {', '.join(sizes)}{more}", highlight=False)
    else:
        names = ", ".join(survey.labels.names)
        said = f"{len(survey.labels)} classes: {names}"
        console.print(said, highlight=False, soft_wrap=True, markup=False)
    for problem in survey.problems[:MOST_LINES]:
        print(f"{'error' if problem.fatal else 'warning'}: {problem.text}", file=sys.stderr)
    if len(survey.problems) > MOST_LINES:
        more = f"{len(survey.problems) - MOST_LINES} more problems; --json has them all"
        print(more, file=sys.stderr)


def _table(survey: Survey) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("id", justify="right")
    table.add_column("class")
    for title in ("share of labelled pixels", "images"):
        table.add_column(title, justify="right")
    for index, name in enumerate(survey.labels.names):
        share = f"{100 * survey.shares[index]:.2f} %"
        table.add_row(str(index), escape(name), share, str(int(survey.images[index])))
    return table


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show Python's warnings as one line each, once."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        print(f"warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("once")
        warnings.showwarning = show
        yield
