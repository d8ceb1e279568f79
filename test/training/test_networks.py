"""Every network trains by its recipe, and the weights file says which network it is."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from bisenet_ros.checkpoints import ModelCard, load, save
from bisenet_ros.cli import main
from bisenet_ros.datasets.checking import check
from bisenet_ros.errors import ArgumentError, WeightsError
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import BACKBONES, NETWORKS, build
from bisenet_ros.training.export_weights import finish
from bisenet_ros.training.fine_tuning import as_in_weights, start_backbone
from bisenet_ros.training.recipe import Recipe
from bisenet_ros.training.run import Data, Prepared, build_network, prepare, splits, train

NARROW = {"backbone_options": {"width": 0.25}}
# Small enough to train in a second or two; full-size ones go through `selftest`.
SMALL = {
    "bisenetv2": {"head_width": 32, "auxiliary_width": 8},
    "bisenetv2-large": {"width": 1, "depth": 1, "head_width": 32, "auxiliary_width": 8},
    "bisenetv1": {"channels": 32, "backbone_width": 0.25},
    "deeplabv2": {**NARROW},
    "deeplabv3": {**NARROW, "width": 32},
    "deeplabv3plus": {**NARROW, "width": 32, "low_level_width": 12},
    "pspnet": {**NARROW, "width": 32},
}
SMALLER = {name: "resnet50" if name == "deeplabv2" else "" for name in SMALL}
PAPER = {  # what weighs each auxiliary head's loss, and how many there are
    "bisenetv2": (1.0, 4),
    "bisenetv2-large": (1.0, 4),
    "bisenetv1": (1.0, 2),
    "deeplabv2": (1.0, 0),
    "deeplabv3": (0.5, 1),
    "deeplabv3plus": (0.4, 0),
    "pspnet": (0.4, 1),
}


def recipe(folder: Path, out: Path, **changes) -> Recipe:
    options = {
        **{"data": str(folder), "dataset": "folder", "out": str(out), "val_share": 0.5},
        **{"input_height": 96, "input_width": 128, "crop_height": 64, "crop_width": 64},
        **{"iterations": 10, "validate_every": 10, "batch": 4, "precision": "32-true"},
        **{"device": "cpu", "ema": 0.0, "warmup": 1, "jitter": 0.0, "dropout": 0.0},
        **{"learning_rate": 5e-3, "rare_chance": 0.0, **changes},
    }
    out.mkdir(parents=True, exist_ok=True)
    return Recipe(**options)


def prepared(made: Recipe) -> Prepared:
    found = splits(made)
    return prepare(made, Data(*found, *(check(s) for s in found)))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loss_falls(folder, tmp_path, name):
    made = recipe(
        folder, tmp_path, network=name, network_options=SMALL[name], backbone=SMALLER[name]
    )
    ready = prepared(made)
    losses: list[float] = []
    train(
        ready,
        on_progress=lambda figures: losses.extend(v for k, v in figures.items() if k == "loss"),
    )
    assert len(ready.data.training) == 4 and len(losses) >= 10
    assert min(losses[-3:]) < 0.9 * losses[0], losses


@pytest.mark.parametrize("name", NETWORKS)
def test_auxiliary_heads_and_their_weights_are_the_papers(name):
    network = build_network(Recipe(network=name, network_options=SMALL[name]), 3)
    output = network(torch.randn(2, 3, 64, 64))
    heads = 0 if isinstance(output, torch.Tensor) else len(output.auxiliary)
    assert (network.auxiliary_weight, heads) == PAPER[name]
    without = Recipe(network=name, network_options=SMALL[name], auxiliary_weight=0.0)
    assert not build_network(without, 3).config.auxiliary
    if name != "deeplabv2":  # which has none to add
        some = Recipe(network=name, network_options=SMALL[name], auxiliary_weight=0.1)
        assert build_network(some, 3).config.auxiliary


def test_the_card_has_the_backbone_and_the_options(folder, tmp_path):
    """As `train` leaves it: `weights:=` alone then decides."""
    made = recipe(
        *(folder, tmp_path / "run"),
        **{"network": "deeplabv3plus", "backbone": "mobilenetv2", "iterations": 2, "batch": 2},
        network_options={"output_stride": 8, "width": 16, "low_level_width": 4},
    )
    made.write(tmp_path / "recipe.yaml")
    assert main(["train", "--config", str(tmp_path / "recipe.yaml")]) == 0
    network, card = load(tmp_path / "run" / "weights.safetensors")
    options = {"backbone": "mobilenetv2", "output_stride": 8, "width": 16, "auxiliary": False}
    assert card.architecture == "deeplabv3plus" and options.items() <= card.options.items()
    assert network.config.low_level_width == 4 and card.started_from == ""


def classifier(path: Path) -> dict[str, torch.Tensor]:
    """A checkpoint with the names of torchvision's mobilenet_v2, whose values are drawn."""
    torch.manual_seed(3)
    state = dict(build("deeplabv3plus", 2, backbone="mobilenetv2").backbone.state_dict())
    state = {k: torch.rand_like(v) if v.is_floating_point() else v for k, v in state.items()}
    state |= {"features.18.0.weight": torch.rand(1280, 320, 1, 1)}
    state |= {"classifier.1.weight": torch.rand(1000, 1280), "classifier.1.bias": torch.rand(1000)}
    torch.save(state, path)
    return state


def test_a_classifiers_body_starts_the_backbone(folder, tmp_path):
    state = classifier(tmp_path / "mobilenet_v2.pth")
    made = recipe(
        *(folder, tmp_path / "run"),
        **{"network": "deeplabv3plus", "backbone": "mobilenetv2", "batch": 2, "iterations": 1},
        **{"backbone_weights": str(tmp_path / "mobilenet_v2.pth"), "learning_rate": 1e-9},
        network_options={"width": 16},
    )
    ready = prepared(made)
    started = ready.module.network.backbone.state_dict()
    assert all(torch.equal(started[key], state[key]) for key in started)
    fresh = {key.split(".")[0] for key in ready.reinitialised}
    assert fresh == {"aspp", "low_level", "decoder", "classifier"}
    train(ready)
    _, _ = finish(ready, "pytest")
    assert load(tmp_path / "run" / "weights.safetensors")[1].started_from == "mobilenet_v2.pth"


def test_backbone_weights_that_do_not_fit(tmp_path):
    classifier(tmp_path / "m.pth")
    with pytest.raises(WeightsError, match="holds mobilenetv2; expected torchvision's resnet50"):
        start_backbone(tmp_path / "m.pth", build("pspnet", 3))
    with pytest.raises(ArgumentError, match="bisenetv2 has no backbone"):
        start_backbone(tmp_path / "m.pth", build("bisenetv2", 3))
    with pytest.raises(ArgumentError, match="weights and backbone_weights are both given"):
        Recipe(weights="a", backbone_weights="b")


def test_fine_tuning_keeps_the_arithmetic_of_the_weights(folder, tmp_path, capsys):
    """Options that leave no trace in the tensors, and the normalisation."""
    path = tmp_path / "w.safetensors"
    options = {"backbone": "mobilenetv2", "backbone_options": {"padding": "block_input"}}
    network = build("deeplabv3plus", 19, **options, width=16, align_corners=True)
    labels = LabelSet(tuple(map(str, range(19))), ((0, 0, 0),) * 19)
    facts = (asdict(network.config), labels, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), (64, 64))
    save(path, network, ModelCard("deeplabv3plus", *facts))
    made = recipe(folder, tmp_path / "run", network="deeplabv3plus", weights=str(path), batch=2)
    ready = prepared(made)
    config = ready.module.network.config
    assert replace(config, num_classes=19) == network.config
    assert ready.recipe.mean == [0.1, 0.2, 0.3] and ready.recipe.std == [0.5, 0.6, 0.7]
    assert {name.split(".")[0] for name in ready.reinitialised} == {"classifier"}
    # What the recipe says itself goes before; another backbone has other options.
    assert as_in_weights(replace(made, mean=[0.5] * 3)).mean == [0.5] * 3
    other = as_in_weights(replace(made, network_options={"align_corners": False}))
    assert not other.config(3).align_corners and other.config(3).width == 16
    assert as_in_weights(replace(made, backbone="resnet50")).config(3).backbone_options == {}
    assert as_in_weights(replace(made, weights="gone"), resume=True).weights == "gone"
    made.write(tmp_path / "recipe.yaml")
    line = ["--config", str(tmp_path / "recipe.yaml"), "--network", "pspnet", "--out"]
    assert main(["train", *line, str(tmp_path / "other")]) == 3
    assert "fit the pspnet to train; pass --network deeplabv3plus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"network": "deeplabv2", "backbone": "xception"}, "backbone is 'xception'; expected"),
        ({"network": "bisenetv2", "backbone": "resnet50"}, "bisenetv2 does not accept"),
        ({"network": "bisenetv1", "backbone": "vgg"}, "backbone is 'vgg'; expected"),
        ({"network_options": {"widht": 2}}, "widht"),
        ({"network_options": {"width": 0}}, "width is 0; expected"),
        ({"network_options": {"num_classes": 4}}, "network_options has num_classes"),
        ({"network": "pspnet", "crop_height": 40}, "expected a multiple of 16, as pspnet needs"),
    ],
)
def test_networks_that_cannot_be_are_refused_before_any_data_is_read(options, said):
    with pytest.raises(ArgumentError, match=said):
        Recipe(**options)


def test_the_line_takes_options_of_the_network(capsys):
    line = ["train", "--network", "pspnet", "--network-option"]
    assert main([*line, "output_stride=7"]) == 2
    assert "output_stride is 7; expected one of 8, 16" in capsys.readouterr().err
    assert main([*line, "output_stride"]) == 2
    assert "--network-option is 'output_stride'; expected NAME=VALUE" in capsys.readouterr().err


def test_fewer_images_per_process_if_norms_are_synchronised(folder, tmp_path, monkeypatch):
    """Batch norms behind global pooling see the images of all processes."""
    made = recipe(folder, tmp_path, network="pspnet", network_options=SMALL["pspnet"], batch=2)
    assert prepared(made).module.network.smallest_batch == 2
    options = {"devices": 2, "batch": 2, "network": "pspnet", "network_options": SMALL["pspnet"]}
    together = prepared(recipe(folder, tmp_path, **options))
    assert together.module.network.smallest_batch == 1
    with pytest.raises(ArgumentError, match="raise --batch"):
        prepared(recipe(folder, tmp_path, **options, sync_norm=False))


def test_classifiers_of_other_classes_start_anew_in_every_network(tmp_path):
    """Those of DeepLab v2 are 3×3; a convolution that has as many channels by chance is none."""
    found = {name: build(name, 3, **SMALL[name]).output_convolutions() for name in NETWORKS}
    assert found["deeplabv2"] == tuple(f"classifiers.{i}" for i in range(4))
    assert found["deeplabv3"] == ("classifier", "aux_classifier.classifier")
    assert len(found["bisenetv2"]) == 5 and len(found["bisenetv1"]) == 3
    options = {**SMALL["deeplabv3plus"], "low_level_width": 3}
    assert build("deeplabv3plus", 3, **options).output_convolutions() == ("classifier",)


def test_the_registry_says_which_backbones_and_strides_there_are():
    assert set(BACKBONES) == {"resnet18", "resnet50", "resnet101", "xception", "mobilenetv2"}
    for name, spec in NETWORKS.items():
        with torch.device("meta"):
            assert build(name, 2).config == spec.config(2)
        for key, values in (("backbone", spec.backbones), ("output_stride", spec.strides)):
            if not values:
                assert not hasattr(spec.config(2), key)
                continue
            assert getattr(spec.config(2), key) == values[0]
            for value in values:
                assert getattr(spec.config(2, **{key: value}), key) == value
            with pytest.raises(ValueError, match=f"{key} is"):
                spec.config(2, **{key: "other"})
        others = set(BACKBONES) - set(spec.backbones)
        for other in others if spec.backbones else ():
            with pytest.raises(ValueError, match="backbone is"):
                spec.config(2, backbone=other)
