"""Checks of config fields: what was found, what was expected."""

from __future__ import annotations

from typing import Any

MAX_CLASSES = 4096  # a file that asks for more is broken or hostile, and would fill the memory


def check_choices(config: object, **choices: tuple[Any, ...]) -> None:
    """Raise ValueError unless each named field of ``config`` is one of its choices."""
    for name, known in choices.items():
        value = getattr(config, name)
        if not any(value == k and isinstance(value, bool) == isinstance(k, bool) for k in known):
            expected = ", ".join(map(str, known))
            raise ValueError(f"{name} is {value!r}; expected one of {expected}")


def check_whole_numbers(config: object, **most: int) -> None:
    """Raise ValueError unless each named field is a whole number from 1 to its largest value."""
    for name, largest in most.items():
        value = getattr(config, name)
        if type(value) is not int or not 1 <= value <= largest:
            raise ValueError(f"{name} is {value!r}; expected a whole number from 1 to {largest}")


def check_tuple(config: object, name: str, lengths: tuple[int, ...], most: int) -> None:
    """Make the field a tuple of as many whole numbers from 1 to ``most``, or raise ValueError.

    JSON has lists only, so a config read from a file arrives with a list.
    """
    value = getattr(config, name)
    good = (
        isinstance(value, list | tuple)
        and len(value) in lengths
        and all(type(number) is int and 1 <= number <= most for number in value)
    )
    if not good:
        count = " or ".join(map(str, lengths))
        raise ValueError(f"{name} is {value!r}; expected {count} whole numbers from 1 to {most}")
    object.__setattr__(config, name, tuple(value))
