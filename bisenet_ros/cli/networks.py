"""``python -m bisenet_ros networks``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bisenet_ros.inference.engines import ENGINES
from bisenet_ros.networks import NETWORKS

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = {
    "name": "network",
    "backbone": "backbone",
    "output_stride": "stride",
    "logits_stride": "logits",
    "parameters": "M params",
    "multiply_adds": "G mult-adds",
    "ratio_to_bisenetv2": "× bisenetv2",
    "median_ms": "ms",
}


def networks(
    network: Annotated[
        list[str] | None, typer.Option(help="only this one, its options explained; may be repeated")
    ] = None,
    size: Annotated[str, typer.Option(help="input size, HEIGHTxWIDTH")] = "512x1024",
    classes: Annotated[int, typer.Option(help="number of classes", min=1, max=255)] = 19,
    measure: Annotated[
        bool, typer.Option("--measure", help="time each in turn with bisenetv2 on this machine")
    ] = False,
    device: Annotated[str, typer.Option(help="--measure: cuda, cuda:N, cpu or auto")] = "auto",
    precision: Annotated[str, typer.Option(help="--measure: fp32, fp16, bf16 or auto")] = "auto",
    engine: Annotated[str, typer.Option(help=f"--measure: {', '.join(ENGINES)} or auto")] = "auto",
    threads: Annotated[
        int, typer.Option(help="--measure: CPU threads; 0: one per core", min=0, max=1024)
    ] = 0,
    pairs: Annotated[int, typer.Option(help="--measure: pairs per network", min=1, max=10000)] = 10,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="print the table as in docs/networks.md")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="write all figures to this file")] = None,
) -> None:
    """List the networks: parameters, multiply-adds, strides, options, time."""
    from rich.console import Console

    from bisenet_ros.benchmark.networks import Measuring, describe, options, variants
    from bisenet_ros.benchmark.networks import measure as measure_rows
    from bisenet_ros.cli.sizes import parse_size
    from bisenet_ros.inference.engines.selection import check
    from bisenet_ros.system.atomic_files import check_writable, write_json

    chosen = list(dict.fromkeys(network or NETWORKS))
    asked = variants(chosen)
    sides = parse_size(size, "--size")
    if json is not None:
        check_writable(json, "--json")
    if measure:
        check(engine, device, precision)
    rows = [describe(variant, sides, classes) for variant in asked]
    facts: dict[str, Any] = {"size": size, "classes": classes}
    console = Console()
    if measure:
        plan = Measuring(sides, device, precision, engine, pairs)
        with console.status("starting") as status:
            facts |= _machine(device, threads)
            facts |= measure_rows(rows, plan, lambda what: status.update(what))
    facts["networks"] = rows
    facts["options"] = {name: options(name) for name in chosen}
    if json is not None:
        write_json(json, facts)
    if markdown:
        print(markdown_table(rows))
        return
    _print_table(rows, console)
    for name in chosen:
        _print_options(name, facts["options"][name], console, explained=network is not None)
    if measure:
        console.print(
            f"{facts['machine']['processor']}, {facts['machine']['threads']} threads, "
            f"{facts['engine']} {facts['precision']} on {facts['device']}, medians of {pairs} pairs"
        )


def _machine(device: str, threads: int) -> dict[str, Any]:
    """Set the threads; the machine in words."""
    import cv2
    import torch

    from bisenet_ros.inference.device import choose
    from bisenet_ros.system.machine import describe_compute

    count = threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    return {"machine": describe_compute(choose(device).device, count)}


def _cells(row: dict[str, Any]) -> list[str]:
    formats = {
        "logits_stride": "1/{}",
        "ratio_to_bisenetv2": "{:.2f}",
        "median_ms": "{:.1f}",
    }
    shown = {
        **row,
        "parameters": f"{row['parameters'] / 1e6:.2f}",
        "multiply_adds": f"{row['multiply_adds'] / 1e9:.2f}",
    }
    return [
        "–" if shown[key] is None else formats.get(key, "{}").format(shown[key])
        for key in COLUMNS
        if key in shown
    ]


def _titles(row: dict[str, Any]) -> list[str]:
    return [title for key, title in COLUMNS.items() if key in row]


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """The rows as in docs/networks.md."""
    titles = _titles(rows[0])
    lines = [titles, ["---" if i < 2 else "---:" for i in range(len(titles))], *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _print_table(rows: list[dict[str, Any]], console: Console) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for index, title in enumerate(_titles(rows[0])):
        table.add_column(title, justify="left" if index < 2 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table, "")


def _print_options(
    name: str, known: dict[str, dict[str, Any]], console: Console, explained: bool
) -> None:
    """A network's help line and its options with their defaults."""
    spec = NETWORKS[name]

    def write(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    write(f"{name}: {spec.help}")
    if not explained:
        write("  " + ", ".join(f"{key}={_value(each)}" for key, each in known.items()))
        return
    for key, each in known.items():
        write(f"  {key}={_value(each)}: {each['help']}")


def _value(option: dict[str, Any]) -> str:
    import json

    return json.dumps(option["default"])
