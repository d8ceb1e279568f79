"""Paths without a shell to expand them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bisenet_ros.errors import DataError
from bisenet_ros.system.paths import check_regular, expanded


def test_home_and_variables_are_replaced(monkeypatch):
    monkeypatch.setenv("HOME", "/home/robot")
    monkeypatch.setenv("MODELS", "/opt/models")
    assert expanded("~/a.safetensors") == "/home/robot/a.safetensors"
    assert expanded("$HOME/a") == "/home/robot/a"
    assert expanded("${MODELS}/a~b") == "/opt/models/a~b"
    assert expanded("") == ""


def test_what_names_nothing_stays(monkeypatch):
    monkeypatch.delenv("NO_SUCH", raising=False)
    assert expanded("$NO_SUCH/a") == "$NO_SUCH/a"


def test_what_cannot_be_read_like_a_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    check_regular(tmp_path / "file")
    check_regular(tmp_path)
    check_regular(tmp_path / "missing")
    for wrong in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(DataError, match="is a pipe, a socket or a device"):
            check_regular(wrong)
