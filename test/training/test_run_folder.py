"""A run folder belongs to one run and one process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bisenet_ros.errors import ArgumentError
from bisenet_ros.training.run_folder import check_unused, claimed

HOLD = """
import sys
from pathlib import Path
from bisenet_ros.training.run_folder import claimed
with claimed(Path(sys.argv[1]), False, False):
    print("claimed", flush=True)
    sys.stdin.read()
"""


def test_a_second_training_is_refused_while_the_first_runs(tmp_path):
    out = tmp_path / "run"
    line = [sys.executable, "-c", HOLD, str(out)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        try:
            assert first.stdout.readline() == b"claimed\n"
            with pytest.raises(ArgumentError, match="in use by another"), claimed(out, True, False):
                pass
        finally:
            first.stdin.close()
            first.wait(10)
    with claimed(out, False, False):  # its lock goes with it
        pass


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt", "weights.safetensors"])
def test_a_folder_with_a_run_names_both_ways_on(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(ArgumentError, match=f"{name}.*--resume.*--overwrite"):
        check_unused(tmp_path, resume=False, overwrite=False)
    check_unused(tmp_path, resume=True, overwrite=False)
    check_unused(tmp_path, resume=False, overwrite=True)


def test_a_folder_without_a_run_is_free(tmp_path):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "recipe.yaml").touch()
    check_unused(tmp_path, resume=False, overwrite=False)


def test_overwriting_removes_the_old_run_and_nothing_else(tmp_path):
    for name in ("last.ckpt", "weights.safetensors", "metrics.csv", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard/events.out").touch()
    with claimed(tmp_path, resume=False, overwrite=True):
        assert {p.name for p in tmp_path.iterdir()} == {"notes.txt", ".train.lock"}


def test_other_processes_of_one_run_share_its_folder(tmp_path, monkeypatch):
    (tmp_path / "last.ckpt").touch()
    monkeypatch.setenv("RANK", "1")
    with claimed(tmp_path, resume=False, overwrite=False):
        pass
