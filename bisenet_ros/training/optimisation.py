"""Optimiser and schedule, as a recipe says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.training.recipe import Recipe


def optimiser(network: SegmentationNetwork, recipe: Recipe) -> Optimizer:
    """The recipe's optimiser over the network's parameters."""
    groups = parameter_groups(network, recipe)
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def parameter_groups(network: SegmentationNetwork, recipe: Recipe) -> list[dict[str, Any]]:
    """Up to four groups: weights of convolutions decay, norms and biases do not; heads apart."""
    groups: dict[tuple[bool, bool], dict[str, Any]] = {
        (head, decays): {
            "params": [],
            "weight_decay": recipe.weight_decay if decays else 0.0,
            "lr": recipe.learning_rate * (recipe.head_factor if head else 1.0),
        }
        for head in (False, True)
        for decays in (True, False)
    }
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            head = name.split(".")[0].startswith(network.head_prefixes)
            groups[head, parameter.ndim > 1]["params"].append(parameter)
    return [group for group in groups.values() if group["params"]]


def schedule(recipe: Recipe) -> Callable[[int], float]:
    """Step to a factor on the learning rate: linear warm-up, then poly or cosine down to 0."""

    def factor(step: int) -> float:
        warm = min(1.0, (step + 1) / max(1, recipe.warmup))
        done = min(1.0, step / recipe.iterations)
        if recipe.schedule == "cosine":
            return warm * 0.5 * (1 + math.cos(math.pi * done))
        return warm * (1 - done) ** recipe.power

    return factor


def ema(decay: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Exponential moving average whose decay rises to ``decay`` over the first steps.

    Without the rise the average is mostly the initial weights for the first 1 / (1 − decay)
    steps, and the early validations say nothing.
    """

    def average(averaged: Tensor, current: Tensor, count: Tensor) -> Tensor:
        kept = min(decay, (1 + int(count)) / (10 + int(count)))
        return averaged * kept + current * (1 - kept)

    return average
