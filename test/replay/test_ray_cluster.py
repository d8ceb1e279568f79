"""Recordings scored on a local Ray cluster of two workers, one of which is killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bag_formats import write_mcap
from drives import Deadly, drive

from bisenet_ros.errors import ArgumentError
from bisenet_ros.replay import many
from bisenet_ros.replay.evaluation import RecordingOptions
from bisenet_ros.replay.model import ModelOptions

pytest.importorskip("ray")

from bisenet_ros.replay.ray_cluster import RETRIES, score_on_ray  # noqa: E402

FILES = ["frames.csv", "metrics.json", "overlay.mp4", "report.html"]


def test_a_task_that_dies_is_tried_again_then_reported_and_the_rest_finished(
    small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # The workers start elsewhere, and must find this package and not another one.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    good = [write_mcap(tmp_path / f"{name}.mcap", drive(3)) for name in ("a", "b")]
    model = ModelOptions(small_weights, "cpu", "fp32", "torch")
    names = [str(good[0]), f"file://{good[0]}", str(good[1])]  # one at a URL
    work = many.tasks(names, model, RecordingOptions(), {})
    work[0] = replace(work[0], facts={"command": Deadly(tmp_path / "notes")})
    out = tmp_path / "out"
    found = {o.task.folder: o for o in score_on_ray(work, out, "local", workers=2)}
    assert (tmp_path / "notes").read_text() == "x" * (1 + RETRIES)
    assert "its task was lost" in found["a"].error
    assert not (out / "a").exists()
    for name in ("a-2", "b"):
        assert found[name].error is None and found[name].metrics["frames"] == 3
        assert sorted(path.name for path in (out / name).iterdir()) == FILES


def test_a_cluster_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ArgumentError, match="cannot be reached"):
        list(score_on_ray([], tmp_path, "127.0.0.1:1"))
