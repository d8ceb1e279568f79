"""``python -m bisenet_ros export``: a file that serves, or nothing and one line that says why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from refusal import check_refused

from bisenet_ros.cli import main
from bisenet_ros.inference import Segmenter

SUFFIXES = {".onnx": "onnx", ".xml": "openvino"}


def export(*arguments: object) -> int:
    return main(["export", *map(str, arguments)])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_it_writes_serves(small_weights, tmp_path, capsys, suffix):
    pytest.importorskip(SUFFIXES[suffix])
    out, facts = tmp_path / f"m{suffix}", tmp_path / "facts.json"
    assert export(out, "--weights", small_weights, "--size", "64x90", "--json", facts) == 0
    names = {out.name, "facts.json", *(["m.bin"] if suffix == ".xml" else [])}
    assert {path.name for path in tmp_path.iterdir()} == names
    measured = json.loads(facts.read_text())
    assert measured["input"] == "64x96" and measured["difference"] < 1e-3
    assert Segmenter(out, device="cpu").input_size == (64, 96)
    assert "difference" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["m.pb", "m", "m.XML"])  # OpenVINO takes no capitals
def test_other_suffixes_are_refused_with_those_there_are(small_weights, tmp_path, capsys, name):
    refused = [tmp_path / name, "--weights", small_weights]
    check_refused(capsys, "export", refused, 2, name, "wrong suffix; expected .onnx or .xml")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("suffix", "size", "fitted"),
    [
        (".onnx", "", (96, 128)),
        (".xml", "", (96, 128)),
        (".xml", "64x90", (64, 96)),  # rounded up
        (".onnx", "72x104", (72, 104)),  # padded in the graph
    ],
)
def test_int8_is_scored_and_written(small_weights, self_labelled, tmp_path, suffix, size, fitted):
    pytest.importorskip(SUFFIXES[suffix])
    pytest.importorskip("nncf")
    out, facts = tmp_path / f"q{suffix}", tmp_path / "facts.json"
    options = ["--int8", "--calibrate", self_labelled, "--dataset", "folder", "--max-drop", 100]
    options += ["--size", size] if size else []
    assert export(out, "--weights", small_weights, *options, "--json", facts) == 0
    measured = json.loads(facts.read_text())
    assert measured["input"] == f"{fitted[0]}x{fitted[1]}"
    assert measured["scored_images"] == 3
    # The labels are the network's own, at its own size.
    assert measured["miou_fp32"] > (30 if size else 99)
    assert measured["miou_int8"] > measured["miou_fp32"] - 20
    assert measured["drop"] == measured["miou_fp32"] - measured["miou_int8"]
    segmenter = Segmenter(out, device="cpu")
    assert segmenter.compute.precision == "int8" and segmenter.input_size == fitted
    assert segmenter([np.zeros((50, 60, 3), np.uint8)])[0].mask.shape == (50, 60)


def test_int8_that_loses_too_much_is_not_written(small_weights, self_labelled, tmp_path, capsys):
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    capsys.readouterr()
    code = export(
        *(tmp_path / "q.xml", "--weights", small_weights),
        *("--int8", "--calibrate", self_labelled, "--dataset", "folder", "--max-drop", 0),
    )
    assert code == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "% mIoU" in last and "nothing was written" in last and "--max-drop" in last
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments(small_weights, self_labelled, tmp_path, capsys):
    weights = ["--weights", small_weights]
    check_refused(capsys, "export", [tmp_path / "m.pt", *weights], 2, ".onnx", ".xml")
    check_refused(capsys, "export", [tmp_path / "m.xml", *weights, "--int8"], 2, "--calibrate")
    check_refused(
        capsys, "export", [tmp_path / "m.xml", *weights, "--calibrate", self_labelled], 2, "--int8"
    )
    check_refused(
        capsys, "export", [tmp_path / "m.xml", *weights, "--size", "12"], 2, "--size", "512x1024"
    )
    check_refused(capsys, "export", ["/proc/no/m.xml", *weights], 2, "cannot be written")
    assert list(tmp_path.iterdir()) == []


def test_wrong_files(small_weights, self_labelled, tmp_path, capsys):
    missing = tmp_path / "w.safetensors"
    check_refused(capsys, "export", [tmp_path / "m.xml", "--weights", missing], 3, "w.safetensors")
    arguments = [tmp_path / "m.xml", "--weights", small_weights, "--int8", "--calibrate"]
    check_refused(capsys, "export", [*arguments, tmp_path, "--dataset", "folder"], 3, "labels.yaml")
    check_refused(
        capsys, "export", [*arguments, self_labelled, "--dataset", "vok"], 2, "'vok'", "camvid"
    )
    lonely = tmp_path / "lonely"
    shutil.copytree(self_labelled, lonely)
    (lonely / "masks" / "0.png").unlink()
    check_refused(capsys, "export", [*arguments, lonely, "--dataset", "folder"], 3, "0.png", "mask")
    (lonely / "val.txt").write_text("1\n")
    check_refused(
        capsys, "export", [*arguments, lonely, "--dataset", "folder"], 3, "at least 2 images"
    )
    (lonely / "labels.yaml").write_text("classes: [{name: one, color: [1, 2, 3]}]")
    check_refused(capsys, "export", [*arguments, lonely, "--dataset", "folder"], 3, "1 class")
    assert [path.name for path in tmp_path.iterdir()] == ["lonely"]


def test_the_example_in_the_docs_gives_the_nodes_mask(small_weights, tmp_path, monkeypatch):
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    page = (Path(__file__).resolve().parents[2] / "docs/export.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    folder = tmp_path / "new" / "folder"
    assert export(folder / "model.onnx", "--weights", small_weights) == 0  # it makes the folder
    coarse = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    image = cv2.resize(coarse, (200, 150), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(folder / "image.png"), image)
    monkeypatch.chdir(folder)
    exec(compile(code, "docs/export.md", "exec"), {})
    mask = cv2.imread("mask.png", cv2.IMREAD_UNCHANGED)
    expected = Segmenter(small_weights, device="cpu", precision="fp32")([image], "bgr")[0].mask
    assert mask.shape == expected.shape and len(np.unique(expected)) > 1
    assert (mask != expected).mean() < 0.01
