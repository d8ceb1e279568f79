"""Losses on logits (N, n, H, W) and labels (N, H, W) int64 with 255 for unlabelled."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.labels import UNLABELLED
from bisenet_ros.networks import upsample


class CrossEntropy(nn.Module):
    """Mean cross entropy over the labelled pixels, optionally weighted by class.

    A batch without a labelled pixel gives 0 with a gradient of zeros, not NaN.
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        if bool((labels == UNLABELLED).all()):
            return logits.sum() * 0.0
        return F.cross_entropy(logits, labels, self.weight, ignore_index=UNLABELLED)


def log_weights(shares: np.ndarray) -> Tensor:
    """(n,) float32 class weights 1 / ln(1.1 + share) with mean 1 (ENet, arXiv 1606.02147, §5.2)."""
    weights = 1 / np.log(1.1 + shares)
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)


def with_boosters(
    loss: nn.Module,
    logits: Tensor,
    boosters: tuple[Tensor, ...],
    labels: Tensor,
    share: float = 1.0,
) -> Tensor:
    """The head's loss plus ``share`` times each booster's, all at the labels' size."""
    height, width = labels.shape[-2:]
    total = loss(upsample(logits.float(), (height, width)), labels)
    for booster in boosters:
        total = total + share * loss(upsample(booster.float(), (height, width)), labels)
    return total
