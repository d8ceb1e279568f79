"""``python -m bisenet_ros inspect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bisenet_ros.cli.terminal import plain


def inspect(
    file: Annotated[Path, typer.Argument(help="weights file (.safetensors)")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Check a weights file and print its model card."""
    from bisenet_ros.checkpoints import fingerprint, load

    network, card = load(file)
    facts = {
        "file": str(file),
        "bytes": file.stat().st_size,
        "sha256": fingerprint(file),
        "parameters": sum(p.numel() for p in network.parameters()),
        **card.as_dict(),
    }
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _print_table(facts)


def _print_table(facts: dict[str, object]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    names, colours = facts.pop("class_names"), facts.pop("colours")
    for key, value in facts.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        table.add_row(key, plain(shown))
    console = Console()
    console.print(table)
    classes = Table("id", "class", "colour", box=None, padding=(0, 2, 0, 0))
    for i, (name, colour) in enumerate(zip(names, colours, strict=True)):  # type: ignore[call-overload]
        red, green, blue = colour
        swatch = Text("    ", style=f"on rgb({red},{green},{blue})")
        classes.add_row(
            str(i), plain(name), swatch + Text(f" {red},{green},{blue}", style="default")
        )
    console.print(classes)
