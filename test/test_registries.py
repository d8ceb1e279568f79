"""One class and one registry entry make a new network or engine available to every command."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from bisenet_ros.checkpoints import load, read_card
from bisenet_ros.cli import main
from bisenet_ros.inference import Segmenter
from bisenet_ros.inference.engines import ENGINES, EngineSpec
from bisenet_ros.inference.engines.registry import on, on_cpu
from bisenet_ros.inference.engines.torch import TorchEngine
from bisenet_ros.networks import (
    NETWORKS,
    NetworkSpec,
    SegmentationNetwork,
    TrainingOutput,
    build,
    upsample,
)
from bisenet_ros.training.recipe import DEFAULTS

COLOURS = {"dark": (20, 20, 20), "light": (230, 230, 230)}
SIZE = (48, 64)


@dataclass(frozen=True)
class ToyConfig:
    num_classes: int
    width: int = 8
    auxiliary: bool = True


class Toy(SegmentationNetwork):
    """Stride 4, a multiple that no other network has, siblings instead of a Sequential."""

    architecture, stride, multiple = "toy", 4, 12
    head_prefixes = ("classify", "aux")
    auxiliary_weight = 0.25

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.conv = nn.Conv2d(3, config.width, 5, stride=4, padding=2, bias=False)
        self.bn = nn.BatchNorm2d(config.width)
        self.classify = nn.Conv2d(config.width, config.num_classes, 1)
        if config.auxiliary:
            self.aux = nn.Conv2d(config.width, config.num_classes, 1)

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        self.check_size(images)
        features = torch.relu(self.bn(self.conv(images)))
        logits = self.classify(features)
        if self.training and self.config.auxiliary:
            return TrainingOutput(logits, (self.aux(features),))
        return logits


class ToyEngine(TorchEngine):
    """PyTorch under another name."""

    name = "toy-engine"


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "toy", NetworkSpec(Toy, ToyConfig, "a convolution"))

    def start(model, compute, size):
        card = model.card
        return on_cpu(ToyEngine(model.network, card.mean, card.std, compute), model, size)

    monkeypatch.setitem(ENGINES, "toy-engine", EngineSpec("a toy", on(cpu=("fp32",)), start))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Dark and light squares, which one convolution can distinguish."""
    root = tmp_path / "data"
    random = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for index in range(8):
        ids = random.integers(0, 2, (3, 4), np.uint8).repeat(16, 0).repeat(16, 1)
        image = np.array(list(COLOURS.values()), np.uint8)[ids]
        cv2.imwrite(str(root / "images" / f"{index}.png"), image)
        cv2.imwrite(str(root / "masks" / f"{index}.png"), ids)
    classes = [{"name": name, "color": list(colour)} for name, colour in COLOURS.items()]
    (root / "labels.yaml").write_text(yaml.safe_dump({"classes": classes}))
    return root


def recipe(data: Path, out: Path, network: str, **changes: object) -> Path:
    path = out.parent / "recipe.yaml"
    options = {
        **{"data": str(data), "dataset": "folder", "out": str(out), "network": network},
        **{"iterations": 12, "validate_every": 6, "batch": 2, "precision": "32-true"},
        **{"crop_height": 96, "crop_width": 96, "device": "cpu", "warmup": 1, "ema": 0.0},
        **{"learning_rate": 0.05, "paste_chance": 0.0, "rare_chance": 0.0, **changes},
    }
    assert set(options) <= set(DEFAULTS)
    path.write_text(yaml.safe_dump(options))
    return path


def test_a_network_and_an_engine_of_ones_own_go_through_every_command(
    toys, data, tmp_path, monkeypatch
):
    # The command line's choices were read before the toy was there.
    from bisenet_ros.training import recipe as recipe_module

    field = recipe_module.Recipe.__dataclass_fields__["network"]
    monkeypatch.setattr(field, "metadata", {**field.metadata, "choices": tuple(NETWORKS)})

    out = tmp_path / "run"
    assert main(["train", "--config", str(recipe(data, out, "toy"))]) == 0
    weights = out / "weights.safetensors"
    network, card = load(weights)
    assert isinstance(network, Toy) and card.architecture == "toy"
    assert card.options == {"num_classes": 2, "width": 8, "auxiliary": False}

    scores = {}
    for engine in ("torch", "toy-engine", "openvino", "onnxruntime"):
        if not ENGINES[engine].installed:
            continue
        figures = tmp_path / f"{engine}.json"
        line = ["--dataset", "folder", "--data", str(data), "--weights", str(weights)]
        line += ["--engine", engine, "--precision", "fp32", "--json", str(figures)]
        assert main(["evaluate", *line]) == 0
        scores[engine] = json.loads(figures.read_text())["miou"]
    assert scores["toy-engine"] == scores["torch"] > 0.8
    assert all(score == pytest.approx(scores["torch"], abs=0.01) for score in scores.values())

    figures = tmp_path / "benchmark.json"
    line = ["--weights", str(weights), "--engine", "toy-engine,torch", "--size", "48x64"]
    line += ["--camera", "60x80", "--pairs", "1", "--device", "cpu", "--precision", "fp32"]
    assert main(["benchmark", *line, "--json", str(figures)]) == 0
    rows = json.loads(figures.read_text())["rows"]
    assert [row["engine"] for row in rows] == ["eager", "toy-engine", "torch"]

    assert main(["networks", "--network", "toy"]) == 0
    line = ["--network", "toy", "--engine", "toy-engine", "--engine", "torch"]
    assert main(["selftest", *line]) == 0

    if ENGINES["onnxruntime"].installed:
        exported = tmp_path / "toy.onnx"
        assert main(["export", str(exported), "--weights", str(weights)]) == 0
        assert read_masks(exported) == read_masks(weights)


def read_masks(weights: Path) -> bytes:
    random = np.random.default_rng(1)
    image = random.integers(0, 2, (3, 4, 1), np.uint8).repeat(16, 0).repeat(16, 1).repeat(3, 2)
    segmenter = Segmenter(weights, device="cpu", precision="fp32")
    return segmenter([image * 210])[0].mask.tobytes()


def test_any_multiple_and_stride_are_kept_by_the_pixels_around_them(toys, tmp_path):
    """72×108 logits of 18×27; a camera image of another size."""
    from bisenet_ros.checkpoints import ModelCard, save
    from bisenet_ros.labels import LabelSet

    torch.manual_seed(0)
    network = build("toy", 2, auxiliary=False).eval()
    labels = LabelSet(tuple(COLOURS), tuple(COLOURS.values()))
    card = ModelCard(
        architecture=network.architecture,
        options={"num_classes": 2, "auxiliary": False},
        labels=labels,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        resolution=(70, 106),
    )
    path = save(tmp_path / "toy.safetensors", network, card)
    segmenter = Segmenter(path, device="cpu", precision="fp32", engine="torch")
    assert segmenter.input_size == (72, 108)
    image = np.random.default_rng(0).integers(0, 256, (72, 108, 3), np.uint8)
    x = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255 - 0.5) / 0.25
    with torch.no_grad():
        wanted = upsample(network(x), (72, 108))
    mask = segmenter([image])[0].mask
    margin = (wanted[0, 0] - wanted[0, 1]).abs().numpy()
    assert (mask == wanted[0].argmax(0).numpy())[margin > 1e-4].all()


def test_every_network_is_registered_under_its_own_name():
    assert all(spec.network.architecture == name for name, spec in NETWORKS.items())
    assert all(spec.help and "\n" not in spec.help for spec in NETWORKS.values())


def test_an_unknown_network_or_option_is_named():
    with pytest.raises(ValueError, match="network is 'unet'; expected one of bisenetv2"):
        build("unet", 3)
    with pytest.raises(ValueError, match="bisenetv2 does not accept these options.*widht"):
        build("bisenetv2", 3, widht=2)


def test_bisenetv2_large_trains_saves_loads_and_scores(data, tmp_path, capsys):
    out = tmp_path / "large"
    config = recipe(data, out, "bisenetv2-large", iterations=2, validate_every=1)
    line = ["--config", str(config), "--crop-height", "64", "--crop-width", "64"]
    assert main(["train", *line, "--batch", "1"]) == 2
    assert "raise --batch" in capsys.readouterr().err
    assert main(["train", *line]) == 0
    weights = out / "weights.safetensors"
    card = read_card(weights)
    assert card.architecture == "bisenetv2-large"
    assert (card.options["width"], card.options["depth"]) == (2, 3)
    line = ["--dataset", "folder", "--data", str(data), "--weights", str(weights)]
    assert main(["evaluate", *line, "--engine", "torch", "--precision", "fp32"]) == 0
