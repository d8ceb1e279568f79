"""``python -m bisenet_ros convert``: a weights file the node takes, or one line and no file."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bisenet_ros.checkpoints import load, load_network
from bisenet_ros.checkpoints.convert import SOURCES
from bisenet_ros.cli import main
from bisenet_ros.errors import WeightsError
from bisenet_ros.networks import build

SIZE = ("--size", "64x96")
CLASSES = """classes:
  - {name: floor, color: [10, 20, 30]}
  - {name: wall, color: [200, 0, 0]}
  - {name: thing, color: [0, 0, 250]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A checkpoint of CoinCheung's with three classes, saved from several GPUs, and its classes."""
    root = tmp_path_factory.mktemp("convert")
    torch.manual_seed(5)
    network = build("bisenetv2", 3, head_width=16, auxiliary_width=8)
    torch.nn.init.normal_(network.head.conv_out[1].weight)
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, root / "model.pth")
    (root / "classes.yaml").write_text(CLASSES)
    return root


def convert(folder: Path, out: Path, *words: object) -> int:
    classes = () if "--classes" in words else ("--classes", folder / "classes.yaml")
    given = (*classes, *(() if "--size" in words else SIZE), *words)
    return main(["convert", str(folder / "model.pth"), str(out), *map(str, given)])


def refused(capsys, tmp_path: Path, code: int, folder: Path, *words: object) -> str:
    """The one line; nothing is written."""
    before = sorted(tmp_path.rglob("*"))
    assert convert(folder, tmp_path / "out.safetensors", *words) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    assert sorted(tmp_path.rglob("*")) == before
    return lines[0]


def test_it_writes_what_the_node_takes_and_says_what_it_did(folder, tmp_path, capsys):
    out, facts = tmp_path / "out.safetensors", tmp_path / "facts.json"
    assert convert(folder, out, "--json", facts) == 0
    network, card = load(out)
    assert card.labels.names == ("floor", "wall", "thing") and card.resolution == (64, 96)
    words, start = shlex.split(card.command), ["python", "-m", "bisenet_ros", "convert"]
    assert words[:6] == [*start, str(folder / "model.pth"), str(out)]
    assert words[words.index("--size") + 1] == "64x96" and "--source" not in words
    assert network.stride == 8
    said = json.loads(facts.read_text())
    assert said["source"] == "coincheung" and said["unwrapped"] == ["state_dict", "module."]
    assert (said["input_shape"], said["logits_shape"]) == ([1, 3, 64, 96], [1, 3, 8, 12])
    assert sum(said["class_shares"].values()) == pytest.approx(1)
    assert said["class_shares"].keys() <= set(card.labels.names)
    printed = capsys.readouterr().out
    for words in (
        "coincheung",
        "1×3×64×96 → 1×3×8×12",
        "assumed: Cityscapes",
        str(out),
        "state_dict",
    ):
        assert words in printed
    assert {path.name for path in tmp_path.iterdir()} == {"out.safetensors", "facts.json"}


def test_the_mask_of_a_photo_is_drawn_beside_the_weights(folder, tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    assert convert(folder, tmp_path / "out.safetensors", "--image", tmp_path / "photo.png") == 0
    drawn = cv2.imread(str(tmp_path / "out.png"))
    assert drawn.shape == photo.shape and not np.array_equal(drawn, photo)


def test_options_and_normalisation_reach_the_card(folder, tmp_path):
    out = tmp_path / "out.safetensors"
    words = (
        "--option",
        "aggregation=bilinear",
        "--option",
        "depth=1",
        "--mean",
        "0.1,0.2,0.3",
        "--std",
        "0.4,0.5,0.6",
    )
    assert convert(folder, out, *words, "--source", "coincheung") == 0
    card = load(out)[1]
    assert card.options["aggregation"] == "bilinear"
    assert (card.mean, card.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert "--option aggregation=bilinear --option depth=1" in card.command


def test_an_existing_file_is_replaced_only_by_a_whole_one(folder, tmp_path, capsys):
    out = tmp_path / "out.safetensors"
    assert convert(folder, out) == 0
    before = out.read_bytes()
    refused(capsys, tmp_path, 3, folder, "--source", "mmsegmentation")
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--classes", "cityscapes"), 3, "3 classes"),
        (("--classes", "nowhere.yaml"), 2, "neither a preset"),
        (("--source", "somebody"), 2, "coincheung"),
        (("--source", "mmsegmentation"), 3, "those of coincheung"),
        (("--mean", "123.675,116.28,103.53", "--std", "58.4,57.1,57.4"), 2, "0–255"),
        (("--mean", "0.5,0.5,0.5"), 2, "both or neither"),
        (("--mean", "0.5,0.5"), 2, "R,G,B"),
        (("--mean", "a,b,c"), 2, "R,G,B"),
        (("--option", "aggregation"), 2, "NAME=VALUE"),
        (("--option", "stride=4"), 2, "not an option"),
        (("--size", "0x9"), 2, "HEIGHTxWIDTH"),
        (("--image", "none.png"), 3, "none.png"),
        (("--json", "/nowhere/x.json"), 2, "cannot be written"),
    ],
)
def test_bad_arguments_are_one_line_and_nothing_is_written(
    folder, tmp_path, capsys, words, code, said
):
    assert said in refused(capsys, tmp_path, code, folder, *words)


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("out.pth", ".safetensors"),
        ("nowhere/out.safetensors", "cannot be written"),
        ("folder.safetensors", "a folder"),
    ],
)
def test_an_output_that_cannot_be(folder, tmp_path, capsys, out, said):
    (tmp_path / "folder.safetensors").mkdir()
    assert convert(folder, tmp_path / out) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["folder.safetensors"]


def test_no_output_replaces_what_was_passed(folder, tmp_path, capsys):
    foreign = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(1)}, foreign)
    classes = str(folder / "classes.yaml")
    assert main(["convert", str(foreign), str(foreign), "--classes", classes]) == 2
    assert "passed to read" in capsys.readouterr().err
    photo = tmp_path / "out.png"
    cv2.imwrite(str(photo), np.zeros((8, 8, 3), np.uint8))
    assert "passed to read" in refused(capsys, tmp_path, 2, folder, "--image", photo)
    out = tmp_path / "out.safetensors"
    assert "twice" in refused(capsys, tmp_path, 2, folder, "--json", out)


def test_what_does_not_fit_is_listed_whole(folder, tmp_path, capsys):
    broken = tmp_path / "in"
    broken.mkdir()
    (broken / "classes.yaml").write_text(CLASSES)
    state = torch.load(folder / "model.pth", weights_only=True)["state_dict"]
    lost = [key for key in state if key.startswith("module.bga.left")]
    state = {key: value for key, value in state.items() if key not in lost}
    state |= {f"module.extra{i}": torch.ones(1) for i in range(12)}
    torch.save(state, broken / "model.pth")
    out, facts = tmp_path / "out.safetensors", tmp_path / "facts.json"
    assert convert(broken, out, "--json", facts) == 3
    printed = capsys.readouterr()
    assert all(key.removeprefix("module.") in printed.out for key in lost)
    assert all(f"extra{i}" in printed.out for i in range(12))
    assert len([line for line in printed.err.splitlines() if line]) == 1 and not out.exists()
    said = json.loads(facts.read_text())
    assert said["unfilled"] == [key.removeprefix("module.") for key in lost]
    assert len(said["unplaced"]) == 12
    assert convert(broken, out, "--allow-missing") == 0 and out.exists()
    assert "kept as initialised" in capsys.readouterr().out


def test_a_network_that_puts_out_no_numbers_is_not_written(folder, tmp_path, capsys):
    broken = tmp_path / "in"
    broken.mkdir()
    (broken / "classes.yaml").write_text(CLASSES)
    state = torch.load(folder / "model.pth", weights_only=True)["state_dict"]
    for key, value in state.items():
        if key.endswith("conv.weight"):
            value.fill_(1e38)
    torch.save(state, broken / "model.pth")
    assert convert(broken, tmp_path / "out.safetensors") == 3
    assert "NaN or infinity" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


def test_help_names_every_source_and_preset(capsys):
    assert main(["convert", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in (*SOURCES, "cityscapes", "ade20k", "--allow-missing"):
        assert name in text


def test_a_checkpoint_given_as_weights_names_the_command_that_converts_it(tmp_path):
    """It converts if called as it stands."""
    network = build("bisenetv2", 19, head_width=16, auxiliary=False)
    path = tmp_path / "my model.pth"
    torch.save({"state_dict": network.state_dict()}, path)
    with pytest.raises(WeightsError) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text and "bisenetv2 of coincheung, 19 classes" in text
    command = text[text.index("python -m bisenet_ros convert") :].partition(" (it is")[0]
    assert main([*shlex.split(command)[3:], *SIZE]) == 0
    loaded = load_network(tmp_path / "my model.safetensors")
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(images), network.eval()(images))


def test_other_files_given_as_weights_are_named_too(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"convert .*other\.safetensors --classes FILE"):
        load(tmp_path / "other.pth")
    path = tmp_path / "script.pt"
    with pytest.warns(DeprecationWarning):
        torch.jit.script(torch.nn.ReLU()).save(str(path))
    with pytest.raises(WeightsError, match="TorchScript"):
        load(path)
