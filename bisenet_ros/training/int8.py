"""Quantisation-aware training: convolutions compute with values rounded as int8 would round them.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", arXiv 1712.05877, section 3: rounded forwards, as if unrounded backwards. Weights are
rounded with one scale per output channel, for which it makes no difference whether the batch norm
is folded; inputs with one scale per tensor, which covers the values of this very batch. So nothing
is learnt or kept besides the weights: the file stays an ordinary one, which ``export`` quantises.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEPS = 127.0  # from zero to the end of the range
LEAST = 1e-12  # range of a tensor of zeros


class Int8Conv2d(nn.Conv2d):
    """A convolution of rounded inputs with rounded weights."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(rounded_input(x), rounded_weight(self.weight), self.bias)


def train_for_int8(network: nn.Module) -> None:
    """Let the network's convolutions round, in place; names and parameters stay as they are."""
    _change(network, nn.Conv2d, Int8Conv2d)


def as_float(network: nn.Module) -> None:
    """Undo :func:`train_for_int8`, in place."""
    _change(network, Int8Conv2d, nn.Conv2d)


def rounded_input(x: Tensor) -> Tensor:
    """Activations of any shape on a signed grid that covers them.

    TensorRT has no other; OpenVINO has steps half as large for what is never negative.
    """
    with torch.no_grad():
        scale = x.detach().float().abs().amax() / STEPS
    return _rounded(x, scale)


def rounded_weight(weight: Tensor) -> Tensor:
    """Weights (out, in, k, k) on a signed grid for each output channel."""
    with torch.no_grad():
        scale = weight.detach().float().abs().amax(dim=(1, 2, 3), keepdim=True) / STEPS
    return _rounded(weight, scale)


def _rounded(x: Tensor, scale: Tensor) -> Tensor:
    """The multiples of ``scale`` that are nearest to ``x``, with the gradient of ``x``."""
    with torch.no_grad():
        exact = x.detach().float()
        scale = scale.clamp_min(LEAST)
        error = ((exact / scale).round() * scale - exact).to(x.dtype)
    return x + error


def _change(network: nn.Module, old: type[nn.Module], new: type[nn.Module]) -> None:
    for module in network.modules():
        if type(module) is old:
            module.__class__ = new
