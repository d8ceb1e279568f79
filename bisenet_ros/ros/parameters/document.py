"""Writes ``Parameters`` out for people: config/segment.yaml and the README's table.

``python -m bisenet_ros.ros.parameters.document`` prints both; ``--write`` rewrites the files.
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import yaml

from bisenet_ros.errors import BisenetError, DataError
from bisenet_ros.ros.parameters.definition import FIELDS, Parameters, expected

BEGIN, END = "<!-- parameters -->", "<!-- /parameters -->"
HEADER = """\
# Every parameter of segmentation_node at its default. Written from
# bisenet_ros/ros/parameters/definition.py by
#     python -m bisenet_ros.ros.parameters.document --write
# To change some, pass a copy by `params_file:=`; launch arguments that are given win over it.
# [live]: can be set while the node runs.
/**:
  ros__parameters:
"""
WIDTH = 100  # columns of the YAML file


def yaml_text() -> str:
    """The text of config/segment.yaml: each parameter below a comment that describes it."""
    return HEADER + "".join(_yaml_entry(name) for name in FIELDS)


def table() -> str:
    """The README's table of parameters, in Markdown."""
    rows = ["| parameter | default | values | what |", "|---|---|---|---|"]
    for name, field in FIELDS.items():
        metadata = field.metadata
        live = " *(live)*" if metadata["live"] else ""
        value = f"`{_yaml_value(_default(name))}`"
        cells = (f"`{name}`{live}", value, expected(name), metadata["description"])
        rows.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(rows) + "\n"


def with_table(text: str, source: str = "README.md") -> str:
    """``text`` with the table in it, between its two markers.

    Raises:
        DataError: ``text`` (of the file ``source``) does not hold both markers, in order.
    """
    begin, end = text.find(BEGIN), text.find(END)
    if not 0 <= begin < end:
        raise DataError(f"{source} has no table of parameters; mark its place: {BEGIN} … {END}")
    return f"{text[:begin]}{BEGIN}\n{table()}{text[end:]}"


def write(root: Path) -> list[Path]:
    """Rewrite config/segment.yaml and README.md's table below ``root``; return what was written.

    Raises:
        DataError: ``root`` is no checkout of this package, or its README has no markers.
    """
    if not (root / "package.xml").is_file():
        raise DataError(f"{root} holds no package.xml; run this in a checkout, not an install")
    config, readme = root / "config" / "segment.yaml", root / "README.md"
    config.write_text(yaml_text(), encoding="utf-8")
    if not readme.is_file():
        return [config]
    readme.write_text(with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")
    return [config, readme]


def main(arguments: list[str] | None = None) -> int:
    """Print both, or with ``--write`` rewrite both; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments not in ([], ["--write"]):
        print("usage: python -m bisenet_ros.ros.parameters.document [--write]", file=sys.stderr)
        return 2
    if not arguments:
        print(yaml_text(), table(), sep="\n", end="")
        return 0
    try:
        for path in write(Path(__file__).resolve().parents[3]):
            print(f"wrote {path}")
    except BisenetError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _yaml_entry(name: str) -> str:
    metadata = FIELDS[name].metadata
    says = metadata["description"]
    if metadata["choices"] or metadata["low"] is not None:
        says += f" ({expected(name)})"
    if metadata["live"]:
        says += " [live]"
    begin = " " * 4 + "# "
    comment = textwrap.fill(says, WIDTH, initial_indent=begin, subsequent_indent=begin)
    # An empty list has no type in a params file; a list of one empty topic says the same.
    value = _default(name) if _default(name) != [] else [""]
    return f"{comment}\n    {name}: {_yaml_value(value)}\n"


def _default(name: str) -> Any:
    return getattr(Parameters(), name)


def _yaml_value(value: Any) -> str:
    """A value as YAML reads it; JSON is a part of YAML, and most words need no quotes."""
    plain = isinstance(value, str) and value and yaml.safe_load(value) == value
    return value if plain else json.dumps(value)


def _cell(text: str) -> str:
    """Text that Markdown shows as it is inside a table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.exit(main())
