"""Files are written completely or not at all."""

from __future__ import annotations

import json
import os
import stat

import pytest

from bisenet_ros.errors import ArgumentError
from bisenet_ros.system.atomic_files import check_writable, make_folder, staged, write_json


def test_results_move_in_if_the_block_succeeds(tmp_path):
    out = tmp_path / "deep" / "out"
    with staged(out, "--out") as scratch:
        (scratch / "results" / "a").write_text("new")
        (scratch / "log").write_text("not a result")
        assert not out.exists()
    assert [p.name for p in out.iterdir()] == ["a"]
    assert [p.name for p in tmp_path.iterdir()] == ["deep"]


def test_other_files_are_kept_and_older_ones_replaced(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "precious").write_text("kept")
    with staged(tmp_path, "--out") as scratch:
        (scratch / "results" / "a").write_text("new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "precious"]
    assert (tmp_path / "a").read_text() == "new"


def test_nothing_is_left_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), staged(tmp_path / "out", "--out") as scratch:
        (scratch / "results" / "a").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_writable_is_reported_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ArgumentError, match=r"--out .*file cannot be written"),
        staged(tmp_path / "file", "--out"),
    ):
        raise AssertionError("the block must not run")
    with pytest.raises(ArgumentError, match="out .*cannot be written"):
        make_folder(tmp_path / "file" / "below", "out")


def test_a_json_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "m.json"
    write_json(path, {"ü": 1.5})
    assert json.loads(path.read_text(encoding="utf-8")) == {"ü": 1.5}
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"ü": 1.5}
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_path_that_is_not_writable_is_reported_early(tmp_path):
    check_writable(tmp_path / "m.json", "--json")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ArgumentError, match="is a folder"):
        check_writable(tmp_path, "--json")
    with pytest.raises(ArgumentError, match="cannot be written"):
        check_writable(tmp_path / "missing" / "m.json", "--json")
