"""What decays, what learns faster, how the rate falls."""

from __future__ import annotations

import pytest
import torch

from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config
from bisenet_ros.training.optimisation import ema, optimiser, parameter_groups, schedule
from bisenet_ros.training.recipe import Recipe

NETWORK = BiSeNetV2(BiSeNetV2Config(3, head_width=8, auxiliary_width=8))


def test_norms_and_biases_do_not_decay_and_heads_learn_faster():
    recipe = Recipe(learning_rate=0.1, weight_decay=0.01, head_factor=10)
    groups = parameter_groups(NETWORK, recipe)
    by_id = {id(p): group for group in groups for p in group["params"]}
    assert len(by_id) == len(list(NETWORK.parameters()))
    for name, parameter in NETWORK.named_parameters():
        group = by_id[id(parameter)]
        assert group["weight_decay"] == (0.01 if parameter.ndim == 4 else 0)
        head = name.startswith(("head.", "aux"))
        assert group["lr"] == pytest.approx(1.0 if head else 0.1)


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_optimisers_by_name(name, kind):
    made = optimiser(NETWORK, Recipe(optimiser=name, momentum=0.8, head_factor=2.0))
    assert type(made) is kind
    assert {g["lr"] for g in made.param_groups} == {2e-3, 4e-3}
    assert name != "sgd" or made.param_groups[0]["momentum"] == 0.8


def test_poly_falls_from_one_to_zero_after_warm_up():
    factor = schedule(Recipe(iterations=100, warmup=10, power=0.9))
    assert factor(0) == pytest.approx(0.1)
    assert factor(4) == pytest.approx(0.5 * 0.96**0.9)
    assert factor(50) == pytest.approx(0.5**0.9)
    assert factor(100) == 0 and factor(150) == 0


def test_cosine_is_half_way_down_in_the_middle():
    factor = schedule(Recipe(iterations=100, warmup=0, schedule="cosine"))
    assert factor(0) == pytest.approx(1)
    assert factor(50) == pytest.approx(0.5)
    assert factor(100) == pytest.approx(0, abs=1e-12)


def test_the_average_starts_as_the_weights_and_ends_at_its_decay():
    average = ema(0.9)
    zero, one = torch.tensor(0.0), torch.tensor(1.0)
    assert average(zero, one, torch.tensor(0)) == pytest.approx(0.9)
    assert average(zero, one, torch.tensor(10_000)) == pytest.approx(0.1)
