"""Depthwise convolutions with a channel multiplier, in the form that CPUs with AMX run fastest."""

from __future__ import annotations

import torch
from torch import nn

from bisenet_ros.system.cpu import cpu_has_amx_bf16

GROUP = 8  # channels: of 8, 16 and 32, none was faster, and 8 adds the fewest zeros


def regroup_for_amx(network: nn.Module, precision: str) -> None:
    """Merge the groups of depthwise convolutions with a channel multiplier, if AMX is there.

    BiSeNetV2's gather-and-expansion layers compute six outputs from each channel alone. That is a
    grouped convolution with a single input per group, for which oneDNN has a slow kernel only.
    Groups of 8 channels, with weights of 0 between channels that do not belong together, compute
    the same, and AMX multiplies by eight times as many weights in less time. Without AMX it does
    not, and the network stays as it is.

    Args:
        network: with batch norms folded, for the CPU; changed in place.
        precision: the one it will run in.
    """
    if precision == "bf16" and cpu_has_amx_bf16():
        regroup(network)


def regroup(network: nn.Module) -> int:
    """Merge groups as :func:`regroup_for_amx` does, on any CPU; returns how many layers changed."""
    expanding = [conv for conv in network.modules() if _expands(conv)]
    for conv in expanding:
        assert isinstance(conv, nn.Conv2d)
        outputs = torch.arange(conv.out_channels, device=conv.weight.device)
        inputs = outputs // (conv.out_channels // conv.in_channels)
        weight = conv.weight.new_zeros(conv.out_channels, GROUP, *conv.kernel_size)
        weight[outputs, inputs % GROUP] = conv.weight.detach()[:, 0]
        conv.weight = nn.Parameter(weight, requires_grad=False)
        conv.groups = conv.in_channels // GROUP
    return len(expanding)


def _expands(conv: nn.Module) -> bool:
    return (
        isinstance(conv, nn.Conv2d)
        and conv.groups == conv.in_channels < conv.out_channels
        and conv.in_channels % GROUP == 0
    )
