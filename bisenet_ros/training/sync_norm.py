"""Synchronised batch norm on any device; torch's own runs on GPUs only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from bisenet_ros.training.sampling import world


def synchronise(network: nn.Module, device: str) -> nn.Module:
    """The network with batch norms synchronised over all processes.

    On a GPU these are torch's, on a CPU :class:`SyncNorm`; state dict keys stay the same.
    """
    if device != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, SyncNorm.of(child))
    return network


class SyncNorm(nn.BatchNorm2d):
    """Batch norm with mean and variance over the images of all processes."""

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> SyncNorm:
        """The same norm, with the same parameters, synchronised."""
        sync_norm = cls(norm.num_features, norm.eps, norm.momentum)
        sync_norm.load_state_dict(norm.state_dict())
        sync_norm.training = norm.training
        return sync_norm

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world()[0] == 1:
            return super().forward(input)
        x = input.float()
        count = x.new_full((1,), x.numel() / x.shape[1])
        sums = torch.cat((x.sum((0, 2, 3)), (x * x).sum((0, 2, 3)), count))
        sums = all_reduce(sums)  # with a gradient, unlike dist.all_reduce
        mean, square = (sums[:-1] / sums[-1]).chunk(2)
        variance = (square - mean * mean).clamp_min(0)
        self._update_running_stats(mean.detach(), variance.detach(), sums[-1].detach())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return (x * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)).to(input.dtype)

    def _update_running_stats(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Update the running averages, with the unbiased variance, as torch does."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * count / (count - 1).clamp_min(1), share)
