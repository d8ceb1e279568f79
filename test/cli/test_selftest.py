"""``python -m bisenet_ros selftest``: agrees here, and sees what does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bisenet_ros.cli import main
from bisenet_ros.inference.engines import ENGINES
from bisenet_ros.inference.engines.registry import on_cpu
from bisenet_ros.inference.engines.torch import TorchEngine
from bisenet_ros.networks import bisenetv1
from bisenet_ros.selftest.engines import installed_engines
from bisenet_ros.selftest.sources import CASES

NETWORK = ["--network", "bisenetv1"]
SOURCE = ["--source", "coincheung_bisenetv1"]


def selftest(*words: object) -> int:
    return main(["selftest", *map(str, words)])


def test_a_network_and_a_checkpoint_agree_on_every_engine(tmp_path, capsys):
    out = tmp_path / "s.json"
    assert selftest(*NETWORK, *SOURCE, "--json", out) == 0
    found = json.loads(out.read_text())
    network, source = found["rows"]
    assert (
        found["agree"] and found["engines"] == installed_engines() and "torch" in found["engines"]
    )
    assert (network["kind"], network["name"], network["reloaded"]) == ("network", "bisenetv1", 0)
    assert len(network["losses"]) == 2 and source["source_error"] < 1e-4
    for row in (network, source):
        assert set(row["engines"]) == set(found["engines"])
        assert max(row["engines"].values()) < 1e-3 and not row["failures"]
    printed = capsys.readouterr().out
    assert "agrees" in printed and "all 2 agree" in printed


class Noisy(TorchEngine):
    """Puts out logits that are a little off."""

    def forward(self, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        logits = super().forward(x, size)
        return logits + 0.01 * logits.abs().max()


def test_an_engine_that_computes_something_else_is_seen(monkeypatch, tmp_path, capsys):
    def start(model, compute, size):
        engine = Noisy(model.network, model.card.mean, model.card.std, compute)
        return on_cpu(engine, model, size)

    monkeypatch.setitem(ENGINES, "torch", replace(ENGINES["torch"], start=start))
    out = tmp_path / "s.json"
    assert selftest(*NETWORK, "--engine", "torch", "--json", out) == 1
    printed = capsys.readouterr()
    assert "bisenetv1: engine torch differs by 1.0e-02; expected at most 1e-03" in printed.out
    assert "1 of 1 do not agree: bisenetv1" in printed.err
    found = json.loads(out.read_text())
    assert not found["agree"] and found["rows"][0]["failures"]


def test_an_engine_that_does_not_start_is_seen(monkeypatch, capsys):
    def start(model, compute, size):
        raise RuntimeError("no such\nluck")

    monkeypatch.setitem(ENGINES, "torch", replace(ENGINES["torch"], start=start))
    assert selftest(*SOURCE, "--engine", "torch") == 1
    assert "engine torch: RuntimeError: no such luck" in capsys.readouterr().out


def test_another_arithmetic_than_the_sources_is_seen(monkeypatch, tmp_path, capsys):
    def another(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(x.amax(dim=(2, 3), keepdim=True)))

    monkeypatch.setattr(bisenetv1.FeatureFusion, "_attention", another)
    assert selftest(*SOURCE, "--engine", "torch") == 1
    assert "coincheung_bisenetv1: logits differ from the source's" in capsys.readouterr().out


def test_there_is_a_checkpoint_of_every_source():
    from bisenet_ros.checkpoints.convert import SOURCES

    assert {case.source for case in CASES.values()} == set(SOURCES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--network", "unet"), "--network is 'unet'; expected one of bisenetv2"),
        (("--source", "somebody"), "--source is 'somebody'; expected one of coincheung_bisenetv2"),
        (("--engine", "warp"), "--engine is 'warp'; expected one of openvino"),
        (("--json", Path("/nowhere/x.json")), "cannot be written"),
    ],
)
def test_wrong_arguments(capsys, words, said):
    assert selftest(*words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]
