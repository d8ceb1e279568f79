"""The one line in which a command says what is wrong."""

from __future__ import annotations

import pytest

from bisenet_ros.cli import main

Capture = pytest.CaptureFixture[str]


def error_lines(capsys: Capture) -> list[str]:
    """What was written to the standard error, without empty lines."""
    return [line for line in capsys.readouterr().err.splitlines() if line.strip()]


def check_refused(
    capsys: Capture, command: str, arguments: list[object], code: int, *words: str
) -> None:
    """The command ends with ``code`` and one line that holds ``words``."""
    assert main([command, *map(str, arguments)]) == code
    lines = error_lines(capsys)
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]


def check_last_error(capsys: Capture, code: int, found: int, *words: str) -> None:
    """``found`` is ``code``; the last line is an error that holds ``words``, others may warn."""
    lines = error_lines(capsys)
    assert found == code, lines
    assert lines[-1].startswith("error: "), lines
    for word in words:
        assert word in lines[-1], lines
