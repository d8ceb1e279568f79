"""Options whose value may be left out, which Typer does not know."""

from __future__ import annotations

from collections.abc import Sequence

OPTIONAL_VALUES = {"--fail-if-worse": "0"}


def completed(arguments: Sequence[str]) -> list[str]:
    """The arguments with the default value after each option that came without one."""
    found: list[str] = []
    for place, argument in enumerate(arguments):
        found.append(argument)
        if argument in OPTIONAL_VALUES:
            following = arguments[place + 1] if place + 1 < len(arguments) else ""
            if not _is_number(following):
                found.append(OPTIONAL_VALUES[argument])
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
