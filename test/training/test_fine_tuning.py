"""Fine-tuning: which tensors are copied, which are re-initialised, what is refused."""

from __future__ import annotations

import pytest
import torch

from bisenet_ros.checkpoints import ModelCard, save
from bisenet_ros.errors import WeightsError
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config
from bisenet_ros.training.fine_tuning import start_from

THREE = LabelSet(("a", "b", "c"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)))
CLASSIFIER = ["head.conv_out.1.bias", "head.conv_out.1.weight"]


def network(classes: int, auxiliary: bool = False, head: int = 8) -> BiSeNetV2:
    return BiSeNetV2(
        BiSeNetV2Config(classes, head_width=head, auxiliary_width=8, auxiliary=auxiliary)
    )


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(1)
    made = network(3)
    options = vars(made.config)
    half = (0.5, 0.5, 0.5)
    card = ModelCard("bisenetv2", dict(options), THREE, half, half, (64, 64))
    return save(tmp_path / "w.safetensors", made, card), made.state_dict()


def test_the_same_classes_take_over_everything(weights):
    path, state = weights
    target = network(3)
    assert start_from(path, target, THREE) == []
    assert all(torch.equal(v, state[k]) for k, v in target.state_dict().items())


def test_auxiliary_heads_are_initialised_anew_and_named(weights):
    path, _ = weights
    reinitialised = start_from(path, network(3, auxiliary=True), THREE)
    assert reinitialised and all(name.startswith("aux") for name in reinitialised)


@pytest.mark.parametrize("names", [("a", "b", "c", "d"), ("c", "b", "a")])
def test_other_classes_get_a_new_classifier_even_if_they_are_as_many(weights, names):
    path, state = weights
    target = network(len(names))
    before = {name: target.state_dict()[name].clone() for name in CLASSIFIER}
    labels = LabelSet(names, ((0, 0, 0),) * len(names))
    assert start_from(path, target, labels) == CLASSIFIER
    after = target.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in CLASSIFIER)
    assert torch.equal(after["detail.S1.0.conv.weight"], state["detail.S1.0.conv.weight"])


def test_weights_of_another_network_are_refused(weights):
    path, _ = weights
    other = BiSeNetV2(BiSeNetV2Config(3, width=2, head_width=8, auxiliary=False))
    with pytest.raises(WeightsError, match="of which .* fit the bisenetv2 to train; pass w"):
        start_from(path, other, THREE)
