"""Number formatting for the terminal and the reports."""

from __future__ import annotations


def percent(value: float | None, digits: int = 1) -> str:
    """0.5678 as ``56.8 %``; a dash for None."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def number(value: float | None, digits: int = 1, unit: str = "") -> str:
    """A figure with its unit; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}{unit and ' ' + unit}"
