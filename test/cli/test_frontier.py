"""``python -m bisenet_ros frontier``: times in pairs, scores as ``evaluate`` gives them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from bisenet_ros.benchmark.frontier import mark_frontier
from bisenet_ros.benchmark.frontier_plot import draw
from bisenet_ros.benchmark.peers import kept_file, read_peers
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
    out, scores, plot = (tmp_path / name for name in ("f.json", "e.json", "f.png"))
    data = ("--data", self_labelled, "--calibrate-split", "val")
    reference = ("--reference", small_weights)
    capsys.readouterr()
    assert (
        frontier(
            small_weights,
            exported,
            *SMALL,
            *reference,
            "--int8",
            *data,
            "--json",
            out,
            "--plot",
            plot,
        )
        == 0
    )
    found = json.loads(out.read_text())
    plain, int8, other = found["rows"]
    assert [row["name"] for row in found["rows"]] == ["small", "small int8", "exported.xml"]
    assert [row["size"] for row in found["rows"]] == ["64x96", "64x96", "64x64"]
    assert [row["score_size"] for row in found["rows"]] == ["96x128", "96x128", "64x64"]
    assert int8["precision"] == "int8" and plain["precision"] != "int8"
    assert plot.is_file() and found["peers"] is None  # they are of another size
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


def row(name: str, ratio: float, miou: float | None, precision: str = "bf16") -> dict:
    """As the command makes them."""
    return {
        "name": name,
        "precision": precision,
        "ratio_to_reference": ratio,
        "miou": miou,
        "on_frontier": miou is not None,
    }


def measured(
    *rows: dict, data: tuple[str, str] = ("camvid", "val"), size: str = "512x1024"
) -> dict:
    reference = {"weights": "bisenetv2-camvid.safetensors", "engine": "openvino", "size": size}
    return {
        "rows": list(rows),
        "reference": {**reference, "precision": "bf16", "median_ms": 60.0},
        "camera": "720x1280",
        "data": {"dataset": data[0], "split": data[1]},
    }


def test_the_peers_stand_beside_runs_like_theirs_alone():
    path = kept_file()
    assert path is not None
    peers = read_peers(path)
    assert [peer.ratio for peer in peers.rows] == sorted(peer.ratio for peer in peers.rows)
    assert all(peer.ratio == peer.ms / peers.reference["ms"] for peer in peers.rows)
    assert peers.beside(measured()) is peers
    other = peers.beside(measured(data=("folder", "val")))
    assert other is not None and all(peer.miou is None for peer in other.rows)
    assert peers.beside(measured(size="256x512")) is None


def test_the_page_about_the_peers_holds_their_figures():
    path = kept_file()
    assert path is not None
    page = path.with_suffix(".md").read_text(encoding="utf-8")
    for peer in read_peers(path).rows:
        line = next(line for line in page.splitlines() if line.startswith(f"| {peer.name}"))
        assert f"| {peer.ms:.1f} | {peer.ratio:.2f} |" in line
        assert f"**{peer.name}" in page or peer.ours or peer.name.startswith("YOLO26s")


@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.parametrize("with_peers", [True, False])
def test_the_plot_is_drawn_whatever_there_is(tmp_path, scored, with_peers):
    path = kept_file()
    assert path is not None
    rows = [row("one", 1.0, 0.7 if scored else None), row("two", 0.4, 0.6 if scored else None)]
    out = tmp_path / "plot.png"
    draw(measured(*rows), read_peers(path) if with_peers else None, out)
    picture = cv2.imread(str(out))
    assert picture.shape[1] == 1140 and picture.min() < 60 and picture.max() == 255


def test_broken_peers_are_refused(tmp_path, small_weights, capsys):
    path = tmp_path / "peers.yaml"
    for text in ("- 1", "rows: []", "machine: x\nreference: {ms: 0}\nrows: [{ms: 1}]"):
        path.write_text(text)
        assert frontier(small_weights, "--peers", path, *SMALL) == 3
        assert "is not a list of peers" in capsys.readouterr().err


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
        ((small_weights, "--plot", "/no/folder/x.png"), 2, "--plot"),
        ((small_weights, twice), 2, "two models are called small"),
        ((Path("/no/w.safetensors"), *SMALL), 3, "w.safetensors"),
        ((small_weights, "--data", tmp_path), 3, ""),
    ):
        assert frontier(*arguments, "--reference", small_weights) == code, arguments
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and said in lines[0]
