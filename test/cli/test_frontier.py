"""``python -m bisenet_ros frontier``: times in pairs, scores as ``evaluate`` gives them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bisenet_ros.benchmark.frontier import mark_frontier
from bisenet_ros.cli import main

SMALL = ["--size", "64x96", "--camera", "90x120", "--pairs", 3, "--device", "cpu", "--threads", 2]


def frontier(*arguments: object) -> int:
    return main(["frontier", *map(str, arguments)])


def test_models_are_timed_and_scored_as_evaluate_does(
    small_weights, self_labelled, tmp_path, capsys
):
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    exported = tmp_path / "exported.xml"
    assert main(["export", str(exported), "--weights", str(small_weights), "--size", "64x64"]) == 0
    out, scores = tmp_path / "f.json", tmp_path / "e.json"
    data = ("--data", self_labelled, "--calibrate-split", "val")
    reference = ("--reference", small_weights)
    capsys.readouterr()
    assert (
        frontier(small_weights, exported, *SMALL, *reference, "--int8", *data, "--json", out) == 0
    )
    found = json.loads(out.read_text())
    plain, int8, other = found["rows"]
    assert [row["name"] for row in found["rows"]] == ["small", "small int8", "exported.xml"]
    assert [row["size"] for row in found["rows"]] == ["64x96", "64x96", "64x64"]
    assert [row["score_size"] for row in found["rows"]] == ["96x128", "96x128", "64x64"]
    assert int8["precision"] == "int8" and plain["precision"] != "int8"
    assert found["reference"]["weights"] == small_weights.name
    for row in found["rows"]:
        low, high = row["ratio_quarters"]
        assert 0 < low <= row["ratio_to_reference"] <= high
        assert row["speed_up"] == 1 / row["ratio_to_reference"]
        assert row["median_ms"] > 0 and row["reference_ms"] > 0 and 0 < row["miou"] <= 1
    assert plain["miou"] > 0.97  # it drew the labels itself
    for row, file, options in (
        (plain, small_weights, ("--engine", plain["engine"], "--precision", plain["precision"])),
        (other, exported, ()),
    ):
        command = ("--data", self_labelled, "--weights", file, *options, "--json", scores)
        assert main(["evaluate", *map(str, command)]) == 0
        assert json.loads(scores.read_text())["miou"] == row["miou"]
    words = capsys.readouterr().out
    assert "* small" in words and "reference: small.safetensors" in words


def test_without_data_there_are_times_alone(small_weights, tmp_path):
    out = tmp_path / "f.json"
    assert frontier(small_weights, *SMALL, "--reference", small_weights, "--json", out) == 0
    (row,) = json.loads(out.read_text())["rows"]
    assert row["miou"] is None and row["on_frontier"] is False and row["ratio_to_reference"] > 0


def test_the_frontier_is_what_nothing_beats():
    figures = {"slow": (1.0, 0.7), "same": (1.0, 0.7), "worse": (1.1, 0.69), "fast": (0.3, 0.6)}
    figures |= {"beaten": (0.5, 0.6), "unscored": (0.1, None)}
    rows = [
        {"name": name, "ratio_to_reference": ratio, "miou": miou}
        for name, (ratio, miou) in figures.items()
    ]
    mark_frontier(rows)
    assert [row["name"] for row in rows if row["on_frontier"]] == ["slow", "same", "fast"]


def test_wrong_arguments(small_weights, tmp_path, capsys):
    twice = tmp_path / "other" / small_weights.name
    twice.parent.mkdir()
    twice.write_bytes(small_weights.read_bytes())
    for arguments, code, said in (
        ((small_weights, "--int8"), 2, "--data"),
        ((small_weights, "--size", "12"), 2, "--size"),
        ((small_weights, "--score-size", "a"), 2, "--score-size"),
        ((small_weights, "--engine", "warp"), 2, "warp"),
        ((small_weights, "--json", "/"), 2, "is a folder"),
        ((small_weights, twice), 2, "two models are called small"),
        ((Path("/no/w.safetensors"), *SMALL), 3, "w.safetensors"),
        ((small_weights, "--data", tmp_path), 3, ""),
    ):
        assert frontier(*arguments, "--reference", small_weights) == code, arguments
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and said in lines[0]
