"""Parses NAME=VALUE on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bisenet_ros.errors import ArgumentError


def parse_assignments(words: Sequence[str], option: str) -> dict[str, Any]:
    """The values by name, read as JSON, or as text where they are not JSON.

    Raises:
        ArgumentError: a word is not NAME=VALUE; the message names the option.
    """
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise ArgumentError(
                f"{option} is {word!r}; expected NAME=VALUE, such as output_stride=8"
            )
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values
