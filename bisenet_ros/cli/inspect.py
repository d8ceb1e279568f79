"""``python -m bisenet_ros inspect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bisenet_ros.cli.terminal import plain


def inspect(
    file: Annotated[Path, typer.Argument(help="weights file, or an exported .onnx or .xml")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Check a weights file and print its model card."""
    from bisenet_ros.inference.export.reader import is_exported

    facts = _exported(file) if is_exported(file) else _weights(file)
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _print_table(facts)


def _weights(file: Path) -> dict[str, Any]:
    from bisenet_ros.checkpoints import load

    network, card = load(file)
    parameters = sum(p.numel() for p in network.parameters())
    return {**_file(file), "parameters": parameters, **card.as_dict()}


def _exported(file: Path) -> dict[str, Any]:
    """What an exported model's file says, and what goes in and comes out."""
    from bisenet_ros.inference.export import reader
    from bisenet_ros.inference.export.graph import interface

    found = reader.read(file)
    facts = {"precision": found.precision, **found.card.as_dict()}
    return {**_file(file), **facts, **interface(found.size, found.logits)}


def _file(file: Path) -> dict[str, Any]:
    from bisenet_ros.checkpoints import fingerprint

    return {"file": str(file), "bytes": file.stat().st_size, "sha256": fingerprint(file)}


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
