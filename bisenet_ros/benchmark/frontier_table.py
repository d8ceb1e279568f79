"""Prints the frontier as a table."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bisenet_ros.benchmark.peers import Peers
from bisenet_ros.report.formatting import number, percent


def show(measured: dict[str, Any], peers: Peers | None, console: Console) -> None:
    """Print the rows, the fastest first, how they were measured, and the peers' rows."""
    _show_rows(measured, console)
    if peers is not None:
        _show_peers(peers, console)


def _show_rows(measured: dict[str, Any], console: Console) -> None:
    rows = sorted(measured["rows"], key=lambda row: row["ratio_to_reference"])
    inputs = {row["size"] for row in rows}
    scored = {row["score_size"] for row in rows if row["score_size"]}
    # A size that all have is below the table, which has to fit a terminal.
    extra = {"input": "size"} if len(inputs) > 1 else {}
    extra |= {"scored at": "score_size"} if len(scored) > 1 else {}
    table = _table("", "engine", "ms", "ratio", "speed-up", "mIoU", *extra)
    for row in rows:
        table.add_row(
            Text(("* " if row["on_frontier"] else "  ") + row["name"]),
            f"{row['engine']} {row['precision']}",
            number(row["median_ms"]),
            number(row["ratio_to_reference"], 2),
            number(row["speed_up"], 2),
            percent(row["miou"], 2),
            *(row[key] or "–" for key in extra.values()),
        )
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
        where = f" at {', '.join(scored)}" if len(scored) == 1 else ""
        lines.append(f"mIoU{where} on {data['images']} images of {data['folder']}, {data['split']}")
        lines.append("*: no other model here is at least as fast and as accurate")
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _show_peers(peers: Peers, console: Console) -> None:
    table = _table("measured elsewhere", "engine", "version", "ms", "ratio", "mIoU")
    for peer in peers.rows:
        table.add_row(
            Text(f"  {peer.name}"),
            Text(peer.engine),
            Text(peer.version or "–"),
            number(peer.ms),
            number(peer.ratio, 2),
            percent(peer.miou, 2),
        )
    console.print("", table, "")
    reference = peers.reference
    console.print(
        f"ratios to {reference['weights']} ({reference['engine']} {reference['precision']}, "
        f"{reference['ms']:g} ms) on {peers.machine}, {peers.date}: {peers.camera} to {peers.size}",
        highlight=False,
        markup=False,
    )


def _table(*titles: str) -> Table:
    """An empty table; all columns except the first two are numeric."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for index, title in enumerate(titles):
        table.add_column(title, justify="left" if index < 2 else "right", no_wrap=index < 1)
    return table
