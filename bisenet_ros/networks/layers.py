"""Building blocks that several networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvBNReLU(nn.Sequential):
    """Convolution without bias, batch norm, ReLU.

    The children are named ``conv`` and ``bn``, the names most published BiSeNet checkpoints use.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel: side of the square kernel; padding keeps the size at stride 1.
        stride: 1 or 2.
        groups: ``in_channels`` for a depthwise convolution.
        dilation: distance between the kernel's taps.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.conv = conv(in_channels, out_channels, kernel, stride, groups, dilation)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)


def conv(
    in_channels: int,
    out_channels: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
) -> nn.Conv2d:
    """A convolution without bias, padded to keep the size at stride 1."""
    padding = dilation * (kernel // 2)
    return nn.Conv2d(
        in_channels, out_channels, kernel, stride, padding, dilation, groups, bias=False
    )


def conv_bn(
    in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """Convolution and batch norm as two layers, to be placed in an ``nn.Sequential``."""
    return conv(in_channels, out_channels, kernel, stride, groups), nn.BatchNorm2d(out_channels)


def initialise(network: nn.Module) -> None:
    """Kaiming-normal convolutions (arXiv 1502.01852, fan out), unit batch norms, zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def upsample(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Upsample logits bilinearly to ``size`` with half-pixel centres (align_corners=False).

    Args:
        logits: (N, n, h, w), any floating dtype.
        size: (height, width) of the result; note the order.

    Returns:
        (N, n, height, width), dtype of ``logits``.
    """
    return torch.nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple of ``multiple`` that is at least ``value``."""
    return -(-value // multiple) * multiple


def round_up_size(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """(height, width), each rounded up to a multiple of ``multiple``."""
    return round_up(size[0], multiple), round_up(size[1], multiple)


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples of ``multiple``.

    Padding goes to the bottom and the right only, so pixel (0, 0) stays where it was.

    Args:
        images: (N, C, H, W).

    Returns:
        (N, C, ceil(H / multiple) · multiple, ceil(W / multiple) · multiple); the input itself
        if no padding is needed.
    """
    height, width = images.shape[-2:]
    below, right = -height % multiple, -width % multiple
    if not below and not right:
        return images
    return torch.nn.functional.pad(images, (0, right, 0, below), mode="replicate")


def crop_padding(logits: Tensor, size: tuple[int, int], padded: tuple[int, int]) -> Tensor:
    """The logits (N, n, h', w') of the image in the top left corner of a padded one.

    Args:
        logits: (N, n, h, w) of the padded image.
        size: (height, width) of the image, multiples of the network's ``input_step``.
        padded: (height, width) that it was padded to.
    """
    if size == padded:  # whatever size the logits have
        return logits
    height, width = (int(logits.shape[i - 2]) * size[i] // padded[i] for i in (0, 1))
    return logits[..., :height, :width]


def channels_last(network: nn.Module) -> nn.Module:
    """The network, its convolution weights (out, in, k, k) now in the channels-last layout."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network
