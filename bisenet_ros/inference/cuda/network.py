"""The network as the GPU runs it: batch norms folded, channels last, bias and ReLU in one pass.

cuDNN's convolution as PyTorch calls it leaves bias and ReLU to two more kernels, each of which
reads and writes the whole activation. Here one kernel does both, with the same rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.engines.torch import fold_batch_norms
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.networks.layers import channels_last

BiasReLU = Callable[[Tensor, Tensor], None]  # x (N, C, H, W), changed in place, and bias (C,)


class ConvBiasReLU(nn.Module):
    """A convolution whose bias and ReLU are added in place, in one pass.

    Args:
        conv: with a bias; it is copied.
        bias_relu: of ``kernels`` or ``plain``.
    """

    def __init__(self, conv: nn.Conv2d, bias_relu: BiasReLU) -> None:
        super().__init__()
        self.conv = copy.deepcopy(conv)
        assert self.conv.bias is not None
        self.bias, self.conv.bias = self.conv.bias, None
        self.bias_relu = bias_relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        self.bias_relu(x, self.bias)
        return x


def fast_network(
    network: SegmentationNetwork, compute: Compute, bias_relu: BiasReLU, compiled: bool
) -> Callable[[Tensor], Tensor]:
    """A copy of ``network`` on the device and in the precision of ``compute``, made fast.

    Args:
        network: in eval mode.
        compute: device and precision.
        bias_relu: of ``kernels`` or ``plain``.
        compiled: let torch.compile fuse instead: more of it, for a minute at the first call.
    """
    slim = network.without_boosters()
    fold_batch_norms(slim)
    if not compiled:
        join_bias_and_relu(slim, bias_relu)
    slim.to(compute.device, compute.dtype)
    channels_last(slim)
    return torch.compile(slim, dynamic=False) if compiled else slim


def join_bias_and_relu(network: nn.Module, bias_relu: BiasReLU) -> None:
    """Put a :class:`ConvBiasReLU` where a folded convolution and a ReLU follow each other."""
    for module in list(network.modules()):
        if not isinstance(module, nn.Sequential):
            continue
        layers = [(k, v) for k, v in module.named_children() if not isinstance(v, nn.Identity)]
        for (first, conv), (second, relu) in zip(layers, layers[1:], strict=False):
            if isinstance(conv, nn.Conv2d) and conv.bias is not None and isinstance(relu, nn.ReLU):
                setattr(module, first, ConvBiasReLU(conv, bias_relu))
                setattr(module, second, nn.Identity())
