"""Generates the parameter documentation: config/segment.yaml and docs/parameters.md.

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

PAGE = """\
# Parameters of segmentation_node

Set them in a copy of [config/segment.yaml](../config/segment.yaml) passed as `params_file:=`, or,
where segment.launch.py has an argument of that name, on the launch line (`name:=value`); launch
arguments that are given override the file. Without launch: `--ros-args -p name:=value`. *live*: can
be changed while the node is running (`ros2 param set`).

"""
HEADER = """\
# Every parameter of segmentation_node with its default value. Generated from
# bisenet_ros/ros/parameters/definition.py by
#     python -m bisenet_ros.ros.parameters.document --write
# To change parameters, pass an edited copy with `params_file:=`; launch arguments override it.
# [live]: can be changed while the node is running.
/**:
  ros__parameters:
"""
WIDTH = 100  # columns of the YAML file


def yaml_text() -> str:
    """The text of config/segment.yaml: each parameter preceded by its description."""
    return HEADER + "".join(_yaml_entry(name) for name in FIELDS)


def table() -> str:
    """The parameters as a Markdown table."""
    rows = ["| parameter | default | values | what |", "|---|---|---|---|"]
    for name, field in FIELDS.items():
        metadata = field.metadata
        live = " *(live)*" if metadata["live"] else ""
        value = f"`{_yaml_value(_default(name))}`"
        cells = (f"`{name}`{live}", value, expected(name), metadata["description"])
        rows.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(rows) + "\n"


def page() -> str:
    """The text of docs/parameters.md."""
    return PAGE + table()


def write(root: Path) -> list[Path]:
    """Rewrite config/segment.yaml and docs/parameters.md under ``root``; return their paths.

    Raises:
        DataError: ``root`` is not a checkout of this package.
    """
    if not (root / "package.xml").is_file():
        raise DataError(f"{root} has no package.xml; run this in a checkout, not an install")
    texts = {root / "config/segment.yaml": yaml_text(), root / "docs/parameters.md": page()}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return list(texts)


def main(arguments: list[str] | None = None) -> int:
    """Print both, or with ``--write`` rewrite both; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments not in ([], ["--write"]):
        print("usage: python -m bisenet_ros.ros.parameters.document [--write]", file=sys.stderr)
        return 2
    if not arguments:
        print(yaml_text(), page(), sep="\n", end="")
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
    description = metadata["description"]
    if metadata["choices"] or metadata["low"] is not None:
        description += f" ({expected(name)})"
    if metadata["live"]:
        description += " [live]"
    begin = " " * 4 + "# "
    comment = textwrap.fill(description, WIDTH, initial_indent=begin, subsequent_indent=begin)
    # An empty list has no type in a params file; a list of one empty topic is equivalent.
    value = _default(name) if _default(name) != [] else [""]
    return f"{comment}\n    {name}: {_yaml_value(value)}\n"


def _default(name: str) -> Any:
    return getattr(Parameters(), name)


def _yaml_value(value: Any) -> str:
    """A value in YAML syntax; JSON is a subset of YAML, and most words need no quotes."""
    plain = isinstance(value, str) and value and yaml.safe_load(value) == value
    return value if plain else json.dumps(value)


def _cell(text: str) -> str:
    """Text escaped for a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.exit(main())
