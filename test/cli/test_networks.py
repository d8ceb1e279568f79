"""``python -m bisenet_ros networks``: what each network costs, and how long it takes here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bisenet_ros.benchmark.networks import describe, options, variants
from bisenet_ros.cli import main
from bisenet_ros.cli.networks import markdown_table
from bisenet_ros.networks import NETWORKS

ROOT = Path(__file__).resolve().parents[2]
# Parameters for 19 classes without auxiliary heads, and 10⁹ multiply-adds at 512×1024, as published
# code has them; test/networks has the arithmetic.
KNOWN = {
    ("bisenetv2", None, 8): (3_358_627, 24.60),
    ("bisenetv1", "resnet18", 8): (13_275_539, 29.58),
    ("deeplabv3", "resnet50", 8): (39_638_355, 327.15),
    ("deeplabv3", "resnet101", 16): (58_630_483, 135.60),
}


def networks(*words: object) -> int:
    return main(["networks", *map(str, words)])


@pytest.fixture(scope="module")
def rows() -> dict:
    made = [describe(variant, (512, 1024)) for variant in variants(NETWORKS)]
    return {(row["name"], row["backbone"], row["output_stride"]): row for row in made}


def test_the_figures_are_the_known_ones(rows):
    for key, (parameters, gmacs) in KNOWN.items():
        assert rows[key]["parameters"] == parameters
        assert round(rows[key]["multiply_adds"] / 1e9, 2) == gmacs
    assert rows["bisenetv2", None, 8]["auxiliary_parameters"] == 5_231_487 - 3_358_627
    assert rows["deeplabv3plus", "resnet50", 16]["logits_stride"] == 4
    assert rows["pspnet", "resnet101", 8]["logits_stride"] == 8


def test_every_network_backbone_and_stride_is_there(rows):
    for name, spec in NETWORKS.items():
        found = [key for key in rows if key[0] == name]
        assert len(found) == max(1, len(spec.backbones)) * max(1, len(spec.strides))


def test_the_page_holds_what_the_command_prints(rows, capsys):
    page = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    assert markdown_table(list(rows.values())) in page
    assert networks("--markdown", "--network", "bisenetv2") == 0
    assert all(line in page for line in capsys.readouterr().out.splitlines())


def test_options_have_defaults_and_meanings():
    for name, spec in NETWORKS.items():
        for key, option in options(name).items():
            assert option["help"], f"{name}: {key}"
            default = getattr(spec.config(2), key)
            same = option["default"] == (list(default) if isinstance(default, tuple) else default)
            assert same or option["default"] is None  # the backbone decides
    assert "num_classes" not in options("pspnet") and "auxiliary" not in options("pspnet")


def test_it_measures_in_turn_with_bisenetv2(tmp_path, capsys):
    out = tmp_path / "n.json"
    line = ["--network", "bisenetv1", "--measure", "--size", "64x96", "--pairs", 1, "--json", out]
    line += ["--engine", "torch", "--precision", "fp32", "--device", "cpu", "--threads", 2]
    assert networks(*line) == 0
    found = json.loads(out.read_text())
    assert found["machine"]["processor"] and found["engine"] == "torch"
    assert [row["backbone"] for row in found["networks"]] == ["resnet18", "resnet50"]
    for row in found["networks"]:
        assert row["median_ms"] > 0 and row["ratio_to_bisenetv2"] > 0
    assert set(found["options"]) == {"bisenetv1"}
    printed = capsys.readouterr().out
    assert 'backbone="resnet18": resnet18 or resnet50' in printed and "medians of 1" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--network", "unet"), "--network is 'unet'; expected one of bisenetv2"),
        (("--size", "12"), "--size is '12'"),
        (("--measure", "--engine", "warp"), "engine is 'warp'"),
        (("--json", "/nowhere/x.json"), "cannot be written"),
    ],
)
def test_wrong_arguments(capsys, words, said):
    assert networks(*words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]


def test_the_benchmark_times_any_network(tmp_path, capsys):
    """Here one whose input is rounded up to 16 and whose logits are one more each way."""
    out = tmp_path / "b.json"
    line = ["--size", "60x90", "--camera", "60x80", "--pairs", 1, "--device", "cpu", "--json", out]
    line += ["--engine", "torch", "--precision", "fp32", "--network", "deeplabv2"]
    line += ["--network-option", "backbone=resnet50"]
    line += ["--network-option", 'backbone_options={"width": 0.25, "ceil_pool": true}']
    assert main(["benchmark", *map(str, line)]) == 0
    found = json.loads(out.read_text())
    usual, ours = found["rows"]
    assert found["weights"] == "random" and usual["name"] == "usual"
    assert ours["size"] == "64x96"
    assert ours["mask_disagreement"] < 0.02  # so the usual pipeline enlarges all logits, too
    for words, said in (
        (("--network", "pspnet", "--weights", "x.safetensors"), "pass one of them"),
        (("--network", "unet"), "network is 'unet'"),
        (("--network-option", "width=2"), "belongs to --network"),
        (("--network", "pspnet", "--network-option", "width=0"), "width is 0; expected"),
    ):
        assert main(["benchmark", *words]) == 2
        assert said in capsys.readouterr().err
