"""Convolutions with their weights laid out once, and what follows them done in the cache.

oneDNN offers both; torch reaches them by operators of its own compiler that have no public name.
They are looked for, tried, and done without where they are not found: the numbers are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from bisenet_ros.inference.fusion import fusible_convolutions, replace_pattern

# Activations as oneDNN names them, with their limits.
ACTIVATIONS: dict[str, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}


def available(dtype: torch.dtype) -> bool:
    """Whether this torch has the operators and they work on the CPU in ``dtype``."""
    conv = nn.Conv2d(4, 8, 3, padding=1).to(dtype)
    image = torch.ones(1, 4, 8, 8, dtype=dtype)
    other = torch.ones(1, 8, 8, 8, dtype=dtype)
    try:
        with torch.inference_mode():
            plain = conv(image)
            return all(
                torch.allclose(found, wanted, rtol=0.02, atol=0.02)
                for found, wanted in (
                    (FusedConv(conv, "relu")(image), plain.relu()),
                    (FusedConv(conv, "relu6")(image), plain.clamp(0, 6)),
                    (FusedConv(conv, "relu")(image, other), (plain + other).relu()),
                )
            )
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        # This torch has no such operator, or one that takes other arguments or another dtype.
        return False


class FusedConv(nn.Module):
    """A convolution, an addition and an activation in one operator.

    For the CPU, without gradients.

    Args:
        conv: the convolution.
        activation: a key of ``ACTIVATIONS``.
    """

    def __init__(self, conv: nn.Conv2d, activation: str) -> None:
        super().__init__()
        self.weight = conv.weight.detach()
        self.bias = None if conv.bias is None else conv.bias.detach()
        self.geometry = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.activation, self.limits = ACTIVATIONS[activation]
        self._laid_out = False

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """The activation of the convolution of ``x``, with ``other`` added before it."""
        if not self._laid_out:
            # The best layout depends on the image's size; any layout is right for every size.
            self.weight = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, *self.geometry, list(x.shape)
            )
            self._laid_out = True
        arguments = (self.weight, self.bias, *self.geometry)
        if other is None:
            return torch.ops.mkldnn._convolution_pointwise(
                x, *arguments, self.activation, self.limits, ""
            )
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, other, *arguments, "add", 1.0, self.activation, self.limits, ""
        )


def fuse(network: nn.Module) -> None:
    """Replace the convolutions, with what follows them in a traced network, in place.

    The batch norms must have been folded away before.
    """
    if isinstance(network, fx.GraphModule):
        for pattern in fusible_convolutions(network):
            conv = network.get_submodule(str(pattern.conv.target))
            assert isinstance(conv, nn.Conv2d)
            replace_pattern(network, pattern, FusedConv(conv, pattern.activation))
        network.delete_all_unused_submodules()
        network.recompile()
    # Those that are called twice, and those of a network that cannot be traced.
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d):
                setattr(module, name, FusedConv(child, "none"))
