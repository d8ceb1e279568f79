"""What the node executables print on ``--help``, and what they say where a package is missing."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bisenet_ros.system.optional import installation

WIDTH = 98
MISSING = 2  # exit code, as for a wrong argument


class Entry(NamedTuple):
    """A topic, service or parameter: its name, its type or default, and what it is for."""

    name: str
    kind: str
    text: str


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether ``-h`` or ``--help`` is among the arguments that are not ROS's own."""
    own = list(arguments)
    if "--ros-args" in own:
        own = own[: own.index("--ros-args")]
    return "-h" in own or "--help" in own


def usage(name: str, summary: str, sections: Mapping[str, Sequence[Entry]]) -> str:
    """The help text of a node executable.

    Args:
        name: of the executable.
        summary: what it does.
        sections: title to entries, such as ``parameters``.
    """
    lines = [
        f"usage: {name} [--ros-args [-p NAME:=VALUE]... [-r FROM:=TO]... [--params-file FILE]]",
        "",
        *textwrap.wrap(summary, WIDTH),
    ]
    for title, entries in sections.items():
        lines += ["", f"{title}:"]
        for entry in entries:
            lines.append(f"  {entry.name} ({entry.kind})")
            lines += textwrap.wrap(
                entry.text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6
            )
    return "\n".join(lines)


def run_or_explain(name: str, run: Callable[[], int]) -> int:
    """Call ``run``; a package that is not installed is one line and exit code 2."""
    try:
        return run()
    except ModuleNotFoundError as error:
        print(f"{name}: needs {error.name}; {installation(error.name or '')}", file=sys.stderr)
        return MISSING
