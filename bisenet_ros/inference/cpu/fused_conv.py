"""Convolutions with their weights laid out once, and the ReLU after them done in the cache.

oneDNN offers both; torch reaches them by operators of its own compiler that have no public name.
They are looked for, tried, and done without where they are not found: the numbers are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def available(dtype: torch.dtype) -> bool:
    """Whether this torch has the operators and they work on the CPU in ``dtype``."""
    conv = nn.Conv2d(4, 8, 3, padding=1).to(dtype)
    image = torch.ones(1, 4, 8, 8, dtype=dtype)
    try:
        with torch.inference_mode():
            found = FusedConv(conv, relu=True)(image)
            return bool(torch.allclose(found, conv(image).relu(), rtol=0.02, atol=0.02))
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        # This torch has no such operator, or one that takes other arguments or another dtype.
        return False


class FusedConv(nn.Module):
    """A convolution, and a ReLU if asked for, in one operator; for the CPU, without gradients."""

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.weight = conv.weight.detach()
        self.bias = None if conv.bias is None else conv.bias.detach()
        self.geometry = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.after = "relu" if relu else "none"
        self._laid_out = False

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution."""
        if not self._laid_out:
            # The best layout depends on the image's size; any layout is right for every size.
            self.weight = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, *self.geometry, list(x.shape)
            )
            self._laid_out = True
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *self.geometry, self.after, [], ""
        )


def fuse(network: nn.Module) -> None:
    """Replace the convolutions, and the ReLUs that follow one in a Sequential, in place.

    The batch norms must have been folded away before.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _fuse_relus(module)
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d):
                setattr(module, name, FusedConv(child, relu=False))


def _fuse_relus(sequence: nn.Sequential) -> None:
    children = [(n, c) for n, c in sequence.named_children() if not isinstance(c, nn.Identity)]
    for (conv_name, conv), (relu_name, relu) in zip(children, children[1:], strict=False):
        if isinstance(conv, nn.Conv2d) and isinstance(relu, nn.ReLU):
            setattr(sequence, conv_name, FusedConv(conv, relu=True))
            setattr(sequence, relu_name, nn.Identity())
