"""Prints the frontier as a table."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bisenet_ros.report.formatting import number, percent


def show(measured: dict[str, Any], console: Console) -> None:
    """Print the rows, the fastest first, and how they were measured."""
    rows = sorted(measured["rows"], key=lambda row: row["ratio_to_reference"])
    sizes = {row["score_size"] for row in rows if row["score_size"]}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    titles = ["", "engine", "input", "ms", "ratio", "speed-up", "mIoU"]
    titles += ["scored at"] if len(sizes) > 1 else []
    for index, title in enumerate(titles):
        table.add_column(title, justify="left" if index < 2 else "right", no_wrap=index < 2)
    for row in rows:
        cells = [
            Text(("* " if row["on_frontier"] else "  ") + row["name"]),
            f"{row['engine']} {row['precision']}",
            row["size"],
            number(row["median_ms"]),
            number(row["ratio_to_reference"], 2),
            number(row["speed_up"], 2),
            percent(row["miou"], 2),
            row["score_size"] or "–",
        ]
        table.add_row(*cells[: len(titles)])
    console.print("", table, "")
    reference, machine = measured["reference"], measured["machine"]
    lines = [
        f"reference: {reference['weights']}, {reference['engine']} {reference['precision']} at "
        f"{reference['size']}, {reference['median_ms']:.1f} ms; camera {measured['camera']}, "
        f"frame to mask, medians of {measured['pairs']} pairs",
        f"{machine.get('gpu', machine['processor'])}, {machine['threads']} threads",
    ]
    if "data" in measured:
        data = measured["data"]
        where = f" at {', '.join(sizes)}" if len(sizes) == 1 else ""
        lines.append(f"mIoU{where} on {data['images']} images of {data['folder']}, {data['split']}")
        lines.append("*: no other model here is at least as fast and as accurate")
    for line in lines:
        console.print(line, highlight=False, markup=False)
