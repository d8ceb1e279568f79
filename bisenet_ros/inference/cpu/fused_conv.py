"""Convolutions with prepacked weights and fused addition and activation (oneDNN).

torch exposes these only through internal operators of its compiler. They are tried once; where
they do not work, plain modules are used, with the same results.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from bisenet_ros.inference.fusion import fusible_convolutions, replace_pattern

# oneDNN's names of the activations, with their limits.
ACTIVATIONS: dict[str, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}


def available(dtype: torch.dtype) -> bool:
    """Whether this torch has the operators and they work on the CPU with ``dtype``."""
    conv = nn.Conv2d(4, 8, 3, padding=1).to(dtype)
    image = torch.ones(1, 4, 8, 8, dtype=dtype)
    other = torch.ones(1, 8, 8, 8, dtype=dtype)
    try:
        with torch.inference_mode():
            plain = conv(image)
            return all(
                torch.allclose(fused, expected, rtol=0.02, atol=0.02)
                for fused, expected in (
                    (FusedConv(conv, "relu")(image), plain.relu()),
                    (FusedConv(conv, "relu6")(image), plain.clamp(0, 6)),
                    (FusedConv(conv, "relu")(image, other), (plain + other).relu()),
                )
            )
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        # The operator is missing, or does not support these arguments or this dtype.
        return False


class FusedConv(nn.Module):
    """A convolution, an addition and an activation in one operator.

    CPU only, without gradients.

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
        self._packed = False

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """activation(conv(x) + other); ``other`` with the activation ``relu`` only."""
        if not self._packed:
            # The best layout depends on the image size, but any layout is correct for all sizes.
            self.weight = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, *self.geometry, list(x.shape)
            )
            self._packed = True
        arguments = (self.weight, self.bias, *self.geometry)
        if other is None:
            return torch.ops.mkldnn._convolution_pointwise(
                x, *arguments, self.activation, self.limits, ""
            )
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, other, *arguments, "add", 1.0, self.activation, self.limits, ""
        )


def fuse(network: nn.Module) -> None:
    """Replace all convolutions in place; in a traced network, with the operations they fuse.

    The batch norms must already be folded.
    """
    if isinstance(network, fx.GraphModule):
        for pattern in fusible_convolutions(network):
            conv = network.get_submodule(str(pattern.conv.target))
            assert isinstance(conv, nn.Conv2d)
            replace_pattern(network, pattern, FusedConv(conv, pattern.activation))
        network.delete_all_unused_submodules()
        network.recompile()
    # The rest: modules called more than once, and all those of an untraced network.
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d):
                setattr(module, name, FusedConv(child, "none"))
