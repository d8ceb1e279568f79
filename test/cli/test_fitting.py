"""``evaluate --fit-temperature``: a new weights file whose confidence is calibrated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bag_formats import raw, write_mcap
from drives import IMAGES, LABELS, PERIOD, START, drive, scene
from html_page import Page
from refusal import check_last_error

from bisenet_ros.checkpoints import load, read_card
from bisenet_ros.cli import main
from bisenet_ros.inference import Segmenter

EXACT = ("--device", "cpu", "--precision", "fp32", "--engine", "torch")


@pytest.fixture(scope="module")
def bag(small_weights, tmp_path_factory) -> Path:
    """Images whose labels are the network's own masks, wrong in every fourth pixel or so."""
    random, segmenter, notes = np.random.default_rng(0), Segmenter(small_weights, *EXACT[1::2]), []
    for index in range(4):
        image, stamp = scene(index)[0], START + index * PERIOD
        truth = segmenter([image], "bgr")[0].mask.copy()
        off = random.random(truth.shape) < 0.4
        truth[off] = random.integers(0, 3, off.sum())
        notes += [raw(IMAGES, stamp, image, "bgr8"), raw(LABELS, stamp, truth, "mono8")]
    return write_mcap(tmp_path_factory.mktemp("bag") / "drive.mcap", notes)


def evaluate(*arguments: object) -> int:
    return main(["evaluate", *map(str, arguments), *EXACT])


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def fitted(bag, small_weights, tmp_path_factory) -> tuple[Path, Path]:
    """The new weights, and the folder of the report."""
    folder = tmp_path_factory.mktemp("fitted")
    target, out = folder / "calibrated.safetensors", folder / "out"
    line = ("--bag", bag, "--weights", small_weights, "--report", out)
    assert evaluate(*line, "--fit-temperature", target) == 0
    return target, out


def test_a_bag_gives_its_model_a_temperature(fitted, bag, small_weights, tmp_path):
    target, out = fitted
    card, old = read_card(target), read_card(small_weights)
    assert card == replace(old, temperature=card.temperature, command=card.command)
    assert card.temperature != 1 and card.command.startswith(f"{old.command}; python -m")
    found = metrics(out)
    fit = found["temperature_fit"]
    assert fit["temperature"] == card.temperature == found["weights"]["temperature"]
    before, after = (fit[f"expected_calibration_error_{when}"] for when in ("before", "after"))
    assert after < before
    # The report is that of the new file, which differs in confidence alone.
    assert found["calibration"]["expected_calibration_error"] == pytest.approx(after, abs=1e-3)
    line = ("--bag", bag, "--weights", small_weights, "--report", tmp_path / "plain")
    assert evaluate(*line) == 0
    plain = metrics(tmp_path / "plain")
    assert plain["calibration"]["expected_calibration_error"] == pytest.approx(before, abs=1e-3)
    for key in ("miou", "confusion", "stability", "class_shares"):
        assert plain[key] == found[key]
    assert "temperature_fit" not in plain and plain["weights"]["temperature"] == 1
    words = " ".join(Page((out / "report.html").read_text()).words.split())
    assert f"At a temperature of {card.temperature:.3f}, fitted on these frames" in words
    assert "negative log-likelihood after" in words


def test_everything_made_of_the_file_carries_it(fitted, tmp_path, capsys):
    target, _ = fitted
    temperature = read_card(target).temperature
    assert main(["inspect", str(target), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["temperature"] == temperature
    assert main(["inspect", str(target)]) == 0
    assert "temperature" in capsys.readouterr().out
    pytest.importorskip("onnx")
    exported = tmp_path / "small.onnx"
    assert main(["export", str(exported), "--weights", str(target)]) == 0
    assert Segmenter(exported, "cpu").card.temperature == temperature
    assert load(target)[1].temperature == temperature


def test_nothing_is_overwritten_and_what_does_not_fit_is_refused(
    fitted, bag, small_weights, tmp_path, capsys
):
    target, _ = fitted
    content = target.read_bytes()
    line = ("--bag", bag, "--report", tmp_path / "out", "--weights", small_weights)
    fit = "--fit-temperature"
    check_last_error(capsys, 2, evaluate(*line, fit, target), str(target), "exists")
    assert target.read_bytes() == content
    check_last_error(capsys, 2, evaluate(*line, fit, tmp_path / "a.pth"), "expected .safetensors")
    new = tmp_path / "new.safetensors"
    nowhere = tmp_path / "no" / "new.safetensors"
    check_last_error(capsys, 2, evaluate(*line, fit, nowhere), "cannot be written")
    check_last_error(capsys, 2, evaluate(*line, "--weights", target, fit, new), "one --weights")
    exported = tmp_path / "a.onnx"
    exported.touch()
    given = ("--bag", bag, "--report", tmp_path / "out", "--weights", exported, fit, new)
    check_last_error(capsys, 2, evaluate(*given), "exported model")
    unlabelled = write_mcap(tmp_path / "unlabelled.mcap", drive(2, labels=False))
    given = ("--bag", unlabelled, "--report", tmp_path / "out", "--weights", small_weights)
    check_last_error(capsys, 3, evaluate(*given, fit, new), "not one pixel is labelled")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "unlabelled.mcap"]
