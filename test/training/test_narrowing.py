"""A narrower copy of a trained network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bisenet_ros.checkpoints import ModelCard, save
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import NETWORKS, build_config
from bisenet_ros.networks.bisenetv2 import BiSeNetV2, BiSeNetV2Config, GatherExpand
from bisenet_ros.training.fine_tuning import start_from
from bisenet_ros.training.narrowing import _rectified, narrow

WIDE = BiSeNetV2Config(num_classes=5, width=0.5, head_width=32, auxiliary=False)
NARROW = replace(WIDE, detail_width=0.25, semantic_width=0.25, head_width=16)


def labels(names: tuple[str, ...]) -> LabelSet:
    return LabelSet(names, ((0, 0, 0),) * len(names))


def trained(config: BiSeNetV2Config = WIDE, seed: int = 1) -> BiSeNetV2:
    """A network whose batch norms hold anything but their initial values."""
    torch.manual_seed(seed)
    network = BiSeNetV2(config)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()


@pytest.mark.parametrize("name", ["bisenetv2", "bisenetv2-large", "bisenetv1", "deeplabv3plus"])
def test_a_copy_of_the_same_widths_is_the_same_network(name: str):
    config = build_config(name, 3, auxiliary=False)
    if name == "bisenetv2-large":
        config = replace(config, width=0.25, head_width=16)
    network = NETWORKS[name].network(config).eval()
    copied = narrow(network, config).state_dict()
    assert all(torch.equal(copied[key], value) for key, value in network.state_dict().items())


def test_channels_that_are_always_zero_are_removed_without_changing_the_output():
    network = trained()
    norm = network.head.conv.bn
    dead = np.random.default_rng(3).permutation(norm.num_features)[16:]
    norm.weight.data[dead] = 0
    norm.bias.data[dead] = 0
    images = torch.randn(1, 3, 64, 96)
    slim = narrow(network, replace(WIDE, head_width=16))
    torch.testing.assert_close(slim(images), network(images), rtol=1e-4, atol=1e-4)


def test_the_strongest_channels_of_a_layer_are_kept():
    network = trained()
    conv, norm, reads = network.head.conv.conv, network.head.conv.bn, network.head.conv_out[1]
    kept = narrow(network, replace(WIDE, head_width=8)).head
    # Independently: variance of a rectified normal variable, by drawing it.
    torch.manual_seed(4)
    drawn = torch.randn(200_000, norm.num_features) * norm.weight + norm.bias
    strength = drawn.relu().var(0) * reads.weight[:, :, 0, 0].square().sum(0)
    expected = strength.topk(8).indices.sort().values
    assert torch.equal(kept.conv.conv.weight, conv.weight[expected])
    assert torch.equal(kept.conv.bn.running_var, norm.running_var[expected])
    assert torch.equal(kept.conv_out[1].weight, reads.weight[:, expected])


def test_all_layers_agree_about_the_channels_that_are_left():
    network = trained()
    slim = narrow(network, NARROW)
    assert slim.config == NARROW
    # A wide network in which everything that was removed is cut off computes the same.
    stage = [layer for layer in slim.segment.S5_4 if isinstance(layer, GatherExpand)]
    wide = [layer for layer in network.segment.S5_4 if isinstance(layer, GatherExpand)]
    chosen = [_rows(a.conv2[0].weight, b.conv2[0].weight) for a, b in zip(stage, wide, strict=True)]
    assert all(rows == chosen[0] for rows in chosen)  # a residual stage keeps the same channels
    gap = slim.segment.S5_5.conv_gap
    assert torch.equal(gap.bn.running_var, network.segment.S5_5.conv_gap.bn.running_var[chosen[0]])
    inner = _rows(stage[0].conv1.conv.weight, wide[0].conv1.conv.weight)
    expanded = [6 * row + part for row in inner for part in range(6)]
    assert torch.equal(stage[0].dwconv[0].weight, wide[0].dwconv[0].weight[expanded])


def _rows(part: torch.Tensor, whole: torch.Tensor) -> list[int]:
    """Which filters of ``whole`` those of ``part`` are, told by a part of their numbers each."""
    found = []
    for filter_ in part:
        numbers = filter_.reshape(-1)
        matches = [
            row for row, other in enumerate(whole) if torch.isin(numbers, other.reshape(-1)).all()
        ]
        assert len(matches) == 1
        found.append(matches[0])
    return found


def test_a_wider_or_deeper_network_is_refused():
    network = trained()
    with pytest.raises(ValueError, match="expected at least 64"):
        narrow(network, replace(WIDE, head_width=64))
    with pytest.raises(ValueError, match="other layers"):
        narrow(network, replace(WIDE, depth=2))


def test_moments_of_a_rectified_variable_agree_with_draws():
    mean, deviation = np.array([-2.0, -0.3, 0.0, 0.5, 4.0]), np.array([1.0, 0.5, 2.0, 1.0, 0.1])
    drawn = np.maximum(np.random.default_rng(0).normal(mean, deviation, (400_000, 5)), 0)
    found = _rectified(mean, deviation**2)
    np.testing.assert_allclose(found[0], drawn.mean(0), atol=0.01)
    np.testing.assert_allclose(found[1], drawn.var(0), atol=0.02)


@pytest.mark.parametrize("classes", [tuple("abcde"), tuple("abc")])
def test_training_a_narrower_network_starts_from_the_strongest_channels(tmp_path, classes):
    network = trained()
    half = (0.5, 0.5, 0.5)
    card = ModelCard("bisenetv2", dict(vars(WIDE)), labels(tuple("abcde")), half, half, (64, 64))
    path = save(tmp_path / "wide.safetensors", network, card)
    torch.manual_seed(9)
    slim = BiSeNetV2(replace(NARROW, num_classes=len(classes)))
    new = start_from(path, slim, labels(classes))
    expected = narrow(network, NARROW)
    same = {k for k, v in expected.state_dict().items() if torch.equal(slim.state_dict()[k], v)}
    assert new == ([] if len(classes) == 5 else ["head.conv_out.1.bias", "head.conv_out.1.weight"])
    assert same == set(slim.state_dict()) - set(new)
