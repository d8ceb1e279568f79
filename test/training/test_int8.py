"""Training with the rounding of int8."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bisenet_ros.checkpoints import load
from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config
from bisenet_ros.training.export_weights import finish
from bisenet_ros.training.int8 import (
    as_float,
    rounded_input,
    rounded_weight,
    train_for_int8,
)
from bisenet_ros.training.recipe import Recipe
from bisenet_ros.training.run import prepare, read_data, train


def slowly_rounded(values: np.ndarray) -> np.ndarray:
    """One by one, to the nearest of 127 steps to either side of zero."""
    grid = np.abs(values).max() / 127 * np.arange(-127, 128)
    found = [grid[np.abs(grid - value).argmin()] for value in values.ravel()]
    return np.array(found).reshape(values.shape)


@pytest.mark.parametrize("lowest", [0.0, -3.0])
def test_values_lie_on_the_grid(lowest: float):
    values = np.random.default_rng(0).uniform(lowest, 2, (2, 3, 4, 5)).astype(np.float32)
    found = rounded_input(torch.tensor(values)).numpy()
    assert np.allclose(found, slowly_rounded(values), atol=1e-5)
    weight = values * np.array([1, 100], np.float32)[:, None, None, None] - 0.5
    found = rounded_weight(torch.tensor(weight)).numpy()
    for ours, theirs in zip(found, weight, strict=True):
        assert np.allclose(ours, slowly_rounded(theirs), atol=1e-6 * np.abs(theirs).max())
    assert not rounded_input(torch.zeros(1, 2, 3, 3)).any()


def test_gradients_pass_as_if_nothing_was_rounded():
    x = torch.randn(1, 3, 6, 6, requires_grad=True)
    conv = nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        expected = nn.functional.conv2d(rounded_input(x), rounded_weight(conv.weight), conv.bias)
    train_for_int8(conv)
    out = conv(x)
    assert torch.equal(out, expected)
    out.sum().backward()
    wanted = torch.autograd.grad(
        nn.functional.conv2d(x, rounded_weight(conv.weight).detach()).sum(), x
    )[0]
    assert x.grad is not None and torch.allclose(x.grad, wanted, atol=1e-6)
    assert conv.weight.grad is not None and conv.weight.grad.abs().sum() > 0


def test_folding_the_batch_norm_changes_no_weights_rounding():
    weight, gain = torch.randn(6, 3, 3, 3), torch.rand(6, 1, 1, 1) * 10 + 0.1
    assert torch.allclose(rounded_weight(weight * gain), rounded_weight(weight) * gain, rtol=1e-4)


def test_a_network_stays_what_it_is():
    network = BiSeNetV2(BiSeNetV2Config(num_classes=3, head_width=32, auxiliary=False)).eval()
    images = torch.randn(1, 3, 64, 64)
    names, before = list(network.state_dict()), network(images)
    train_for_int8(network)
    assert list(network.state_dict()) == names
    other = copy.deepcopy(network)(images)
    assert not torch.equal(other, before)
    assert (other - before).abs().max() < 0.2 * before.abs().max()
    as_float(network)
    assert torch.equal(network(images), before)


def test_training_recovers_what_the_rounding_costs():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1))
    with torch.no_grad():  # one channel leaves the others few steps of the common scale
        network[0].weight[0] *= 100
        network[2].weight[:, 0] /= 100
    exact = copy.deepcopy(network)
    images = torch.randn(8, 3, 16, 16)
    train_for_int8(network)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(100):
        loss = (network(images) - exact(images).detach()).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3


def test_a_run_writes_an_ordinary_weights_file(folder: Path, tmp_path: Path):
    changes = {"data": str(folder), "out": str(tmp_path / "run"), "iterations": 2, "batch": 2}
    changes |= {"crop_height": 64, "crop_width": 64, "device": "cpu", "precision": "32-true"}
    changes |= {"validate_every": 1, "auxiliary_weight": 0.0, "int8": True}
    recipe = Recipe.read(None, {**changes, "network_options": {"head_width": 64}})
    (tmp_path / "run").mkdir()
    prepared = prepare(recipe, read_data(recipe))
    kinds = {type(m).__name__ for m in prepared.module.network.modules() if hasattr(m, "stride")}
    assert "Int8Conv2d" in kinds and "Conv2d" not in kinds
    train(prepared)
    path, scores = finish(prepared, "pytest")
    network, card = load(path)
    assert card.scores["val_miou"] == scores["val_miou"]
    assert {type(m) for m in network.modules() if isinstance(m, nn.Conv2d)} == {nn.Conv2d}
