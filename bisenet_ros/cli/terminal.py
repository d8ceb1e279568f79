"""Terminal output of several subcommands: a progress bar while they work, tables at the end."""

from __future__ import annotations

import contextlib
import shlex
import signal
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from bisenet_ros.report.formatting import percent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

INTERRUPTED = 130  # what shells report for Ctrl-C


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the block as an exception would, with exit code 130."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # SIGINT too: shells start background jobs with it ignored.
    before = {sign: signal.signal(sign, interrupt) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


@contextlib.contextmanager
def progress(console: Console, total: int, unit: str) -> Iterator[Any]:
    """A progress bar; yields a function that takes the current activity and the units done.

    A count of None or an empty text leaves that part of the bar unchanged.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total)

        def on_progress(what: str, done: int | None) -> None:
            bar.update(task, description=what or None, completed=done)

        yield on_progress


class FrameProgress:
    """A progress bar with frames per second and time left, for use in a ``with`` block.

    Args:
        console: where.
        what: the activity.
    """

    def __init__(self, console: Console, what: str) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                speed = task.finished_speed or task.speed
                return Text("" if speed is None else f"{speed:.1f} frames/s")

        columns: list[str | ProgressColumn] = [TextColumn("{task.description}"), BarColumn()]
        columns += [MofNCompleteColumn(), TextColumn("frames"), Rate(), TimeElapsedColumn()]
        columns += [TextColumn("left"), TimeRemainingColumn()]
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task(what, total=None)

    def __enter__(self) -> FrameProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def start(self, total: int | None) -> None:
        """Say how many frames will come; None where nobody knows."""
        self._bar.reset(self._task, total=total)

    def __call__(self, done: int) -> None:
        """Say how many are done."""
        self._bar.update(self._task, completed=done)

    def stop(self) -> None:
        """Leave the bar as it is, so that what is printed comes below."""
        self._bar.stop()


def figure_table(figures: Sequence[tuple[str, str]]) -> Table:
    """Names and values, one pair per row."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in figures:
        table.add_row(name, Text(value, style="bold"))
    return table


def plain(text: str) -> Text:
    """Text of others for a table: neither markup nor control codes in it take effect."""
    from rich.text import Text

    return Text("".join(c if c.isprintable() else repr(c)[1:-1] for c in text))


def class_table(per_class: dict[str, dict[str, float | None]], columns: dict[str, str]) -> Table:
    """One row per class; ``columns`` maps keys of the figures to titles."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("class")
    for title in columns.values():
        table.add_column(title, justify="right")
    for name, values in per_class.items():
        table.add_row(plain(name), *(percent(values[key]) for key in columns))
    return table


def command_line(context: typer.Context) -> str:
    """The command as typed, without the options left at their defaults."""
    words: list[str] = []
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[option.name or ""]
        name = option.secondary_opts[0] if value is False else option.opts[0]
        for each in value if isinstance(value, list | tuple) else [value]:
            words += [] if option.param_type_name == "argument" else [name]
            words += [] if isinstance(each, bool) else [str(each)]
    return f"{context.command_path} {shlex.join(words)}".rstrip()
