"""``python -m bisenet_ros benchmark``: what it writes, what it refuses, and that it cleans up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness import ROOT, own_domain, ros_environment

from bisenet_ros.cli import main

SMALL = ["--size", "64x96", "--camera", "90x120", "--pairs", 3, "--device", "cpu", "--threads", 2]
TORCH = ["--engine", "torch", "--precision", "fp32"]
ROW = {
    "name",
    "size",
    "camera",
    "device",
    "precision",
    "engine",
    "median_ms",
    "ratio_to_usual",
    "stages",
    "mask_disagreement",
}
STAGES = {"decode", "preprocess", "forward", "postprocess", "publish"}


def benchmark(out: Path, *arguments: object) -> dict:
    assert main(["benchmark", *map(str, [*SMALL, *arguments, "--json", out])]) == 0
    return json.loads(out.read_text())


def test_the_file_holds_what_the_specification_says(tmp_path, small_weights, capsys):
    found = benchmark(tmp_path / "b.json", "--weights", small_weights, *TORCH)
    assert {"machine", "rows", "floor"} <= set(found)
    usual, ours = found["rows"]
    assert set(usual) >= ROW and set(ours) >= ROW
    assert (usual["name"], usual["ratio_to_usual"]) == ("usual", 1.0)
    assert (ours["size"], ours["camera"], ours["device"]) == ("64x96", "90x120", "cpu")
    for row in found["rows"]:
        assert set(row["stages"]) == STAGES and row["stages"]["publish"] is None
        parts = [value for value in row["stages"].values() if value is not None]
        assert 0 < sum(parts) <= 3 * row["median_ms"]
    assert 0 <= ours["mask_disagreement"] < 0.005
    assert ours["engine"] == "torch" and ours["why"] and ours["ratio_to_usual"] > 0
    assert found["machine"]["processor"] and found["machine"]["threads"] == 2
    assert found["weights"] == small_weights.name and found["classes"] == 3
    assert "camvid_drive" in found["frames"]
    words = capsys.readouterr().out
    assert "usual" in words and "torch fp32" in words and "lower bound" in words


def test_the_lower_bound_is_of_this_network_and_machine(tmp_path):
    found = benchmark(tmp_path / "b.json", "--weights", "random", "--baseline", "none")["floor"]
    assert found["gmacs"] == pytest.approx(24.6 * 64 * 96 / 512 / 1024, rel=0.02)
    fp32 = found["precisions"]["fp32"]
    assert fp32["arithmetic_ms"] == pytest.approx(1e3 * found["gmacs"] / fp32["gemm_gmacs_per_s"])
    assert fp32["memory_ms"] > 0 and found["copy_gb_per_s"] > 0


def test_random_weights_several_engines_and_cameras(tmp_path, capsys):
    pytest.importorskip("openvino")
    found = benchmark(
        *(tmp_path / "b.json", "--weights", "random", "--engine", "torch,openvino"),
        *("--cameras", 2, "--stages"),
    )
    assert "ground" in capsys.readouterr().out
    assert [row["engine"] for row in found["rows"]] == ["eager", "torch", "openvino"]
    assert found["weights"] == "random" and found["classes"] == 19
    assert all(row["cameras"] == 2 for row in found["rows"])
    for row in found["rows"][1:]:
        assert set(row["stages"]) == STAGES | {"ground", "points"}
        assert row["stages"]["points"] > 0 and row["stages"]["ground"] > 0
        # On top of the mask, not part of it.
        parts = [row["stages"][s] or 0 for s in STAGES - {"forward"}]
        assert row["without_network_ms"] == pytest.approx(sum(parts))


def test_without_the_baseline_there_is_no_ratio(tmp_path, small_weights):
    found = benchmark(tmp_path / "b.json", "--weights", small_weights, "--baseline", "none")
    (ours,) = found["rows"]
    assert ours["ratio_to_usual"] is None and ours["mask_disagreement"] is None


def children() -> set[int]:
    """Process ids of this process's children."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_the_load_processes_are_measured_and_ended(tmp_path, small_weights):
    before = children()
    found = benchmark(tmp_path / "b.json", "--weights", small_weights, "--cpu-load", 2)
    assert [row["busy"] for row in found["rows"]] == [0, 0, 2, 2]
    assert {row["name"].partition(",")[0] for row in found["rows"]} == {"usual", "bisenet_ros"}
    assert found["rows"][-1]["times_quiet"] > 0
    assert children() <= before


def test_the_node_over_dds(tmp_path, small_weights, monkeypatch):
    with own_domain() as domain:
        for name, value in ros_environment(domain).items():
            monkeypatch.setenv(name, value)
        found = benchmark(tmp_path / "b.json", "--weights", small_weights, "--ros", *TORCH)
    row = found["rows"][-1]
    assert set(row) >= ROW and "DDS" in row["name"]
    assert row["engine"] == "torch" and row["stages"]["publish"] > 0
    assert row["stages"]["forward"] > 0 and row["median_ms"] > 0
    assert row["node_adds_ms"] < row["median_ms"]  # the rest is the Segmenter's


def test_as_launched_starts_again_with_the_settings(tmp_path, small_weights):
    out = tmp_path / "b.json"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "OMP_"))}
    command = [sys.executable, "-m", "bisenet_ros", "benchmark", *map(str, SMALL)]
    command += ["--weights", str(small_weights), "--as-launched", "--json", str(out)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    settings = json.loads(out.read_text())["machine"]["settings"]
    assert settings["OMP_WAIT_POLICY"] == "PASSIVE" and "MALLOC_TOP_PAD_" in settings


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "warp"], "--engine is 'warp'"),
        (["--size", "512"], "--size is '512'"),
        (["--camera", "0x5"], "--camera is '0x5'"),
        (["--baseline", "other"], "--baseline is 'other'"),
        (["--json", "/"], "is a folder"),
        (["--precision", "fp16", "--device", "cpu"], "fp16 needs a GPU"),
    ],
)
def test_wrong_arguments(capsys, arguments, words):
    assert main(["benchmark", *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and words in lines[0]
