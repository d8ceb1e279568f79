"""Stale segments go, live ones stay."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from bisenet_ros.system.shared_memory import remove_stale_segments


def segment(folder: Path, number: int, library: str = "fastrtps") -> Path:
    path = folder / f"{library}_{number:016x}"
    path.write_bytes(b"x")
    path.with_name(path.name + "_el").touch()
    return path


@pytest.mark.parametrize("library", ["fastrtps", "fastdds"])
def test_a_segment_whose_lock_nobody_holds_is_removed_with_it(tmp_path: Path, library: str):
    stale, live = segment(tmp_path, 1, library), segment(tmp_path, 2, library)
    lock = os.open(f"{live}_el", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        assert remove_stale_segments(tmp_path) == [stale.name]
    finally:
        os.close(lock)
    assert {path.name for path in tmp_path.iterdir()} == {live.name, f"{live.name}_el"}


def test_everything_else_is_left_alone(tmp_path: Path):
    (tmp_path / f"fastrtps_{3:016x}").touch()  # its lock file may be about to come
    (tmp_path / "fastrtps_port7411").touch()
    (tmp_path / "fastrtps_port7411_el").touch()
    (tmp_path / "psm_1234").touch()
    before = sorted(path.name for path in tmp_path.iterdir())
    assert remove_stale_segments(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_system_without_the_folder(tmp_path: Path):
    assert remove_stale_segments(tmp_path / "none") == []
