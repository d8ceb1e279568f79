"""Losses on logits (N, n, H, W) and labels (N, H, W) int64 with 255 for unlabelled.

A batch without a labelled pixel gives 0 with a gradient of zeros, never NaN. Where several
processes train together, cross entropy is the mean over the pixels of all of them; which pixels are
hard (OHEM) and how far shapes overlap (Dice) each process decides on its own images.
"""

from __future__ import annotations

import math

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.labels import UNLABELLED
from bisenet_ros.networks import TrainingOutput, upsample
from bisenet_ros.training.sampling import world


class CrossEntropy(nn.Module):
    """Mean cross entropy over the labelled pixels, optionally weighted by class (n,)."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        total = F.cross_entropy(
            logits, labels, self.weight, ignore_index=UNLABELLED, reduction="sum"
        )
        return over_all(total, pixel_weights(labels, self.weight).sum())


class OhemCrossEntropy(nn.Module):
    """Cross entropy of the hard pixels (online hard example mining, arXiv 1604.03540).

    Args:
        threshold: pixels whose true class has a higher probability than this are easy.
        kept: share of the labelled pixels that is kept at least, the hardest first.
        weight: of each class (n,).
    """

    weight: Tensor | None

    def __init__(
        self, threshold: float = 0.7, kept: float = 1 / 16, weight: Tensor | None = None
    ) -> None:
        super().__init__()
        self.limit, self.kept = -math.log(threshold), kept
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        losses = F.cross_entropy(logits, labels, ignore_index=UNLABELLED, reduction="none")
        labelled = labels != UNLABELLED
        losses, weights = losses[labelled], pixel_weights(labels, self.weight)[labelled]
        hard = losses.detach() > self.limit
        least = int(self.kept * losses.numel())
        if int(hard.sum()) < least:
            hard = torch.zeros_like(hard)
            hard[losses.detach().topk(least).indices] = True
        return over_all((losses * weights)[hard].sum(), weights[hard].sum())


class Dice(nn.Module):
    """One minus the Dice coefficient, a term for each class that occurs (arXiv 1606.04797).

    Args:
        activation: ``softmax`` or ``sigmoid``, from logits to shares.
        smooth: added to numerator and denominator.
    """

    def __init__(self, activation: str = "softmax", smooth: float = 1.0) -> None:
        super().__init__()
        self.activation, self.smooth = activation, smooth

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        labelled = labels != UNLABELLED
        ids = labels.where(labelled, 0)
        share = logits.softmax(1) if self.activation == "softmax" else logits.sigmoid()
        share = share * labelled.unsqueeze(1)
        # Only the true class's share overlaps: taking it out of the volume and adding it up by
        # class costs a quarter of multiplying with a one-hot volume.
        right = share.gather(1, ids.unsqueeze(1)).flatten(1)
        # An image at a time, since a float32 that counts pixels is exact up to 16.7 million.
        nothing = share.new_zeros(share.shape[:2])
        overlap = nothing.scatter_add(1, ids.flatten(1), right).sum(0)
        truth = nothing.scatter_add(1, ids.flatten(1), labelled.flatten(1).to(share)).sum(0)
        both = share.flatten(2).sum(2).sum(0) + truth
        occurs = truth > 0
        terms = 1 - (2 * overlap + self.smooth) / (both + self.smooth).clamp_min(1e-12)
        return (terms * occurs).sum() / occurs.sum().clamp_min(1)


class Sum(nn.Module):
    """The sum of several losses."""

    def __init__(self, *losses: nn.Module) -> None:
        super().__init__()
        self.losses = nn.ModuleList(losses)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return torch.stack([loss(logits, labels) for loss in self.losses]).sum()


def pixel_weights(labels: Tensor, weight: Tensor | None) -> Tensor:
    """(N, H, W) float32: the weight of each pixel's class, 0 where it is unlabelled."""
    labelled = labels != UNLABELLED
    if weight is None:
        return labelled.float()
    return weight[labels.where(labelled, 0)] * labelled


def over_all(total: Tensor, count: Tensor) -> Tensor:
    """``total / count`` so that the mean over all processes is that of all their pixels."""
    processes, _ = world()
    if processes > 1:
        count = count.detach().clone()
        dist.all_reduce(count)
    return total * processes / count.clamp_min(1e-12)


def with_auxiliary(
    loss: nn.Module, output: Tensor | TrainingOutput, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """The loss of the logits and the sum of the auxiliary heads', all at the labels' size."""
    logits, auxiliary = (output, ()) if isinstance(output, Tensor) else output
    height, width = labels.shape[-2:]
    head, *rest = (
        loss(upsample(each.float(), (height, width)), labels) for each in (logits, *auxiliary)
    )
    return head, torch.stack(rest).sum() if rest else head.new_zeros(())
