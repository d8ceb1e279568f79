"""Convolutions that apply the ReLU after them while the result is still in the cache.

oneDNN can; torch reaches it by an operator of its own compiler that has no public name. It is
looked for, tried, and done without where it is not found: the numbers are the same either way.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def available(dtype: torch.dtype) -> bool:
    """Whether this torch has the operator and it works on the CPU in ``dtype``."""
    conv = nn.Conv2d(4, 8, 3, padding=1).to(dtype)
    image = torch.ones(1, 4, 8, 8, dtype=dtype)
    try:
        with torch.inference_mode():
            found = FusedConv(conv, relu=True)(image)
            return bool(torch.allclose(found, conv(image).relu(), rtol=0.02, atol=0.02))
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False


class FusedConv(nn.Module):
    """A convolution, and a ReLU if asked for, in one operator; for the CPU, without gradients."""

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.weight = conv.weight
        self.bias = conv.bias
        self.geometry = (
            list(conv.padding),
            list(conv.stride),
            list(conv.dilation),
            conv.groups,
            "relu" if relu else "none",
        )

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution."""
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *self.geometry, [], ""
        )


def fuse_relus(network: nn.Module) -> None:
    """Fuse each ReLU that follows a convolution in a Sequential into it, in place.

    The batch norms must have been folded away before.
    """
    for module in list(network.modules()):
        if not isinstance(module, nn.Sequential):
            continue
        children = [(n, c) for n, c in module.named_children() if not isinstance(c, nn.Identity)]
        for (conv_name, conv), (relu_name, relu) in zip(children, children[1:], strict=False):
            if isinstance(conv, nn.Conv2d) and isinstance(relu, nn.ReLU):
                setattr(module, conv_name, FusedConv(conv, relu=True))
                setattr(module, relu_name, nn.Identity())
