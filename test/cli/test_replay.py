"""``python -m bisenet_ros replay``: what the live node scores is what evaluate scores."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bag_formats import raw, write_rosbag2
from drives import PERIOD, START, scene
from harness import ROOT, own_domain, ros_environment

from bisenet_ros.cli import main

EXACT = ("--device", "cpu", "--engine", "torch", "--precision", "fp32")
FRAMES = 8


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    """Topics of other names, raw images, 16-bit labels of every second image."""
    notes = []
    for index in range(FRAMES):
        image, truth = scene(index)
        stamp = START + index * PERIOD
        notes.append(raw("/front/rgb", stamp, image, "bgr8"))
        if index % 2:
            ids = truth.astype("uint16")
            ids[truth == 255] = 65535
            notes.append(raw("/front/ground_truth", stamp, ids, "mono16"))
    return write_rosbag2(tmp_path_factory.mktemp("bag") / "drive", notes)


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with own_domain() as domain:
        yield {**ros_environment(domain), "COLUMNS": "100"}


def replay(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bisenet_ros", "replay", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


def test_live_scores_are_those_of_evaluate(environment, bag, small_weights, tmp_path):
    out = tmp_path / "live"
    given = ("--weights", small_weights, *EXACT)
    done = replay(environment, bag, "--rate-factor", 0, "--out", out, *given)
    assert done.returncode == 0, done.stdout + done.stderr
    files = ["frames.csv", "metrics.json", "overlay.mp4", "overlay.png", "report.html"]
    assert sorted(path.name for path in out.iterdir()) == files
    live = json.loads((out / "metrics.json").read_text())
    # Not one frame is lost, however slow this machine is.
    assert live["live"]["frames_played"] == live["live"]["masks"] == live["frames"] == FRAMES
    assert live["live"]["unserved"] == 0 and live["live"]["problems"] == []
    command = ["evaluate", "--bag", bag, "--report", tmp_path / "offline", *given]
    assert main([str(part) for part in command]) == 0
    offline = json.loads((tmp_path / "offline" / "metrics.json").read_text())
    same = ("miou", "confusion", "per_class", "boundary_f", "stability", "labelled_frames")
    # Both from the same bytes: ~/confidence holds probability · 255, rounded, as evaluate's does.
    for key in (*same, "confidence", "calibration", "class_shares", "weights"):
        assert live[key] == offline[key]  # to the last digit
    assert live["calibration"]["pixels"] > 0
    assert set(offline) <= set(live)
    assert set(live) - set(offline) == {"live"}
    for word in ("mIoU", "temporal consistency", "calibration error", "superseded", "report.html"):
        assert word in done.stdout


def test_what_cannot_be_played_is_refused(bag, tmp_path, capsys):
    def refused(code: int, *arguments: object) -> str:
        assert main(["replay", *map(str, arguments), "--out", str(tmp_path / "out")]) == code
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
        return line

    assert "expected 0 to 1000" in refused(2, bag, "--rate-factor", -1)
    assert "does not exist" in refused(3, tmp_path / "no.mcap")
    assert "/other" in refused(3, bag, "--image-topic", "/other")
    assert "does not exist" in refused(3, tmp_path / "old.bag")
    assert "pass one of them" in refused(2, bag, "--rate", 5, "--rate-factor", 2)
    assert "--rate is nan" in refused(2, bag, "--rate", "nan")
    assert not (tmp_path / "out").exists()
