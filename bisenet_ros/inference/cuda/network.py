"""The network as the GPU runs it: batch norms folded, channels last, bias and ReLU in one pass.

cuDNN's convolution as PyTorch calls it leaves bias and ReLU to two more kernels, each of which
reads and writes the whole activation. Here one kernel does both, with the same rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn

from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.fusion import (
    fusible_convolutions,
    inference_graph,
    replace_pattern,
)
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
    slim = inference_graph(network)
    if not compiled:
        join_bias_and_relu(slim, bias_relu)
    slim.to(compute.device, compute.dtype)
    channels_last(slim)
    return torch.compile(slim, dynamic=False) if compiled else slim


def join_bias_and_relu(network: nn.Module, bias_relu: BiasReLU) -> None:
    """Put a :class:`ConvBiasReLU` where a ReLU takes a folded convolution's result, in place.

    A network that could not be traced stays as it is.
    """
    if not isinstance(network, fx.GraphModule):
        return
    for pattern in fusible_convolutions(network):
        conv = network.get_submodule(str(pattern.conv.target))
        assert isinstance(conv, nn.Conv2d)
        if pattern.addition is None and pattern.activation == "relu" and conv.bias is not None:
            replace_pattern(network, pattern, ConvBiasReLU(conv, bias_relu))
    network.delete_all_unused_submodules()
    network.recompile()
