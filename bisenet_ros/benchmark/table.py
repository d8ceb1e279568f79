"""Prints the measurements as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from bisenet_ros.benchmark.projections import PROJECTIONS
from bisenet_ros.inference.result import STAGES


def show(measured: dict[str, Any], console: Console, stages: bool) -> None:
    """Print the rows, their stages if requested, the roofline and the machine."""
    rows = measured["rows"]
    for table in (_rows(rows), *([_stages(rows)] if stages else []), _floor(measured["floor"])):
        console.print(table, "")
    for row in rows:
        if row.get("node_adds_ms") is not None:
            console.print(f"the node adds {row['node_adds_ms']:.1f} ms to the pipeline", "")
    machine = measured["machine"]
    console.print(
        f"camera {rows[0]['camera']}, input size {rows[0]['size']}, {measured['classes']} classes, "
        f"weights {measured['weights']}, {measured['frames']}; medians of {measured['pairs']} pairs"
    )
    console.print(
        f"{machine.get('gpu', machine['processor'])}, {machine['threads']} threads, "
        f"torch {machine['torch']}, process settings "
        f"{'applied' if machine['settings'] else 'not set'}"
    )


def _rows(rows: list[dict[str, Any]]) -> Table:
    table = _table(
        *("", "engine", "ms", "speed-up", "× unloaded", "rest, ms", "pixels off", "load"),
    )
    for row in rows:
        table.add_row(
            row["name"],
            f"{row['engine']} {row['precision']}",
            _number(row["median_ms"]),
            _number(row["ratio_to_usual"], 2),
            _number(row.get("times_quiet"), 2),
            _number(row.get("without_network_ms")),
            _percent(row["mask_disagreement"]),
            _number(row.get("other_cores")),
        )
    return table


def _stages(rows: list[dict[str, Any]]) -> Table:
    columns = (*STAGES, *PROJECTIONS)
    table = _table("stages, ms", "engine", *columns)
    for row in rows:
        values = (_number(row["stages"].get(column)) for column in columns)
        table.add_row(row["name"], f"{row['engine']} {row['precision']}", *values)
    return table


def _table(*titles: str) -> Table:
    """An empty table; all columns except the first two are numeric."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for index, title in enumerate(titles):
        table.add_column(title, justify="left" if index < 2 else "right", no_wrap=index < 2)
    return table


def _floor(floor: dict[str, Any]) -> Table:
    table = _table("lower bound", "G multiply-adds/s", "arithmetic, ms", "memory, ms")
    for precision, values in floor["precisions"].items():
        keys = ("gemm_gmacs_per_s", "arithmetic_ms", "memory_ms")
        table.add_row(precision, *(_number(values[key]) for key in keys))
    table.caption = (
        f"{floor['gmacs']:.1f} G multiply-adds, {floor['activation_values'] / 1e6:.0f} M values "
        f"moved; copy bandwidth {floor['copy_gb_per_s']:.1f} GB/s"
    )
    table.caption_justify = "left"
    return table


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.3f} %"
