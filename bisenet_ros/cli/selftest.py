"""``python -m bisenet_ros selftest``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bisenet_ros.errors import ArgumentError, BarNotMet
from bisenet_ros.inference.engines import ENGINES
from bisenet_ros.networks import NETWORKS
from bisenet_ros.selftest.engines import SLOW, installed_engines
from bisenet_ros.selftest.networks import check_network
from bisenet_ros.selftest.sources import CASES, check_case

if TYPE_CHECKING:
    from rich.table import Table

    from bisenet_ros.selftest.row import Row


def selftest(
    network: Annotated[
        list[str] | None,
        typer.Option(help=f"only this one; may be repeated: {', '.join(NETWORKS)}"),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help=f"only this checkpoint; may be repeated: {', '.join(CASES)}"),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            help=f"only this one; may be repeated: {', '.join(ENGINES)}; all that are installed "
            f"and run on a CPU unless given, but for {', '.join(SLOW)}, which takes minutes"
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="write what was found to this file")] = None,
) -> None:
    """Train, convert, export and run every network on this machine, and compare."""
    from dataclasses import asdict

    from rich.console import Console

    from bisenet_ros.cli.terminal import interruptible, progress
    from bisenet_ros.system.atomic_files import check_writable, write_json

    networks = _chosen(network, NETWORKS, "--network", unless=source)
    sources = _chosen(source, CASES, "--source", unless=network)
    engines = _chosen(engine, ENGINES, "--engine") if engine else installed_engines()
    if json is not None:
        check_writable(json, "--json")
    console = Console()
    rows: list[Row] = []
    started = time.perf_counter()
    with (
        interruptible(),
        tempfile.TemporaryDirectory(prefix="bisenet-selftest-") as folder,
        progress(console, len(networks) + len(sources), "checked") as on_progress,
    ):
        for names, check in ((networks, check_network), (sources, check_case)):
            for name in names:
                on_progress(name, len(rows))
                begun = time.perf_counter()
                with tempfile.TemporaryDirectory(dir=folder) as own:
                    rows.append(check(name, Path(own), engines))
                rows[-1].seconds = time.perf_counter() - begun
        on_progress("", len(rows))
    failed = [row for row in rows if row.failures]
    if json is not None:
        facts: dict[str, Any] = {"agree": not failed, "engines": engines}
        facts["rows"] = [_finite(asdict(row)) for row in rows]
        write_json(json, {**facts, "seconds": time.perf_counter() - started})
    for kind in ("network", "source"):
        if of_kind := [row for row in rows if row.kind == kind]:
            console.print(_table(of_kind, engines), "")
    for row in failed:
        for failure in row.failures:
            console.print(f"{row.name}: {failure}", highlight=False, markup=False, soft_wrap=True)
    if failed:
        raise BarNotMet(
            f"{len(failed)} of {len(rows)} do not agree: {', '.join(row.name for row in failed)}"
        )
    console.print(f"all {len(rows)} agree, after {time.perf_counter() - started:.0f} s")


def _chosen(
    given: Sequence[str] | None,
    known: Sequence[str] | dict[str, Any],
    option: str,
    unless: Sequence[str] | None = None,
) -> list[str]:
    """What is named; everything if nothing is, and nothing if only ``unless`` is."""
    if not given:
        return [] if unless else list(known)
    for name in given:
        if name not in known:
            raise ArgumentError(f"{option} is {name!r}; expected one of {', '.join(known)}")
    return list(dict.fromkeys(given))


def _table(rows: list[Row], engines: list[str]) -> Table:
    """One row each; all are of the same kind."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    own = ("loss", "reloaded") if rows[0].kind == "network" else ("error",)
    titles = (rows[0].kind, *own, *engines, "")
    for index, title in enumerate(titles):
        last = index == len(titles) - 1
        table.add_column(title, justify="right" if index and not last else "left", no_wrap=True)
    for row in rows:
        losses = " → ".join(f"{loss:.2f}" for loss in row.losses)
        reloaded = "equal" if row.reloaded == 0 else _error(row.reloaded)
        table.add_row(
            row.name,
            *((losses, reloaded) if row.kind == "network" else (_error(row.source_error),)),
            *(_error(row.engines.get(name)) for name in engines),
            "differs" if row.failures else "agrees",
        )
    return table


def _error(error: float | None) -> str:
    return "" if error is None else f"{error:.0e}"


def _finite(facts: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: null in its place; ``failures`` says what it means."""
    import math

    def plain(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    facts["engines"] = {name: plain(error) for name, error in facts["engines"].items()}
    facts["losses"] = [plain(loss) for loss in facts["losses"]]
    return {name: plain(value) for name, value in facts.items()}
