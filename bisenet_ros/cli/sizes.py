"""Parses sizes on the command line."""

from __future__ import annotations

from bisenet_ros.errors import ArgumentError

LARGEST = 8192


def parse_size(text: str, option: str) -> tuple[int, int]:
    """(height, width) of ``HEIGHTxWIDTH``; ArgumentError, naming the option, for anything else."""
    height, _, width = text.partition("x")
    sides = tuple(int(side) if side.isdecimal() else 0 for side in (height, width))
    if not all(1 <= side <= LARGEST for side in sides):
        raise ArgumentError(
            f"{option} is {text!r}; expected HEIGHTxWIDTH, such as 512x1024, each 1 to {LARGEST}"
        )
    return sides[0], sides[1]
