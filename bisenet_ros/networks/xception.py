"""Xception (arXiv 1610.02357) as a backbone, and its modified, aligned form of DeepLab v3+.

Shapes in comments are (channels, height, width) of one image of (3, H, W), aligned, at output
stride 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.networks.checks import check_choices
from bisenet_ros.networks.features import Backbone, FeatureChannels, Features
from bisenet_ros.networks.layers import initialise

VARIANTS = ("aligned", "original")


class Plan(NamedTuple):
    """Strides of the third entry block and the exit block; dilations behind each of them."""

    entry_stride: int
    exit_stride: int
    d_middle: int
    d_last: int


PLANS = {8: Plan(1, 1, 2, 4), 16: Plan(2, 1, 1, 2), 32: Plan(2, 2, 1, 1)}  # by output stride


@dataclass(frozen=True)
class XceptionConfig:
    """What shapes an Xception.

    Attributes:
        output_stride: input pixels per pixel of the last map; below 32 dilation replaces strides.
        variant: ``aligned`` is figure 4 of arXiv 1802.02611: 16 middle blocks, strided separable
            convolutions in place of max-pools, batch norm and ReLU after each depthwise
            convolution. ``original`` has 8 middle blocks, max-pools and no norm after depthwise
            convolutions; it is dilated as in VainF/DeepLabV3Plus-Pytorch: the stem does not pad,
            the last two convolutions pad by one whatever their dilation (so the last map loses
            2·(dilation − 1) rows and columns twice), and no norm follows the last of them.
    """

    output_stride: int = 16
    variant: str = "aligned"

    def __post_init__(self) -> None:
        check_choices(self, output_stride=tuple(PLANS), variant=VARIANTS)


class Xception(Backbone):
    """The convolutional part of an Xception."""

    channels = FeatureChannels(128, 256, 728, 2048)

    def __init__(self, config: XceptionConfig) -> None:
        super().__init__()
        self.config = config
        self.aligned = aligned = config.variant == "aligned"
        stem_padding, layers, middle = (1, 3, 16) if aligned else (0, 2, 8)
        plan = PLANS[config.output_stride]
        # The aligned form strides in the last convolution of a block, so that a block whose
        # stride is replaced keeps the dilation before it; the original one dilates it already.
        d_entry, d_exit = (1, plan.d_middle) if aligned else (plan.d_middle, plan.d_last)

        def block(widths: Sequence[int], stride: int, dilation: int) -> Block:
            return Block(widths, stride, dilation, aligned)

        self.conv1 = nn.Conv2d(3, 32, 3, stride=2, padding=stem_padding, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=stem_padding, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.block1 = block([64] + [128] * layers, 2, 1)
        self.block2 = block([128] + [256] * layers, 2, 1)
        self.block3 = block([256] + [728] * layers, plan.entry_stride, d_entry)
        self.middle = nn.Sequential(*(block([728] * 4, 1, plan.d_middle) for _ in range(middle)))
        exit_widths = [728, 728, 1024, 1024] if aligned else [728, 728, 1024]
        self.exit = block(exit_widths, plan.exit_stride, d_exit)

        padding = plan.d_last if aligned else 1
        self.shrinks = 4 * (plan.d_last - padding)  # rows and columns lost in two convolutions
        last = [1024, 1536, 1536, 2048] if aligned else [1024, 1536, 2048]
        self.last = nn.ModuleList(
            SeparableConv(c_in, c_out, 1, plan.d_last, aligned, padding, aligned or c_out != 2048)
            for c_in, c_out in zip(last, last[1:], strict=False)
        )
        initialise(self)

    def forward(self, x: Tensor) -> Features:
        x = F.relu(self.bn1(self.conv1(x)))  # 32, H/2, W/2
        x = F.relu(self.bn2(self.conv2(x)))  # 64, H/2, W/2
        x4 = self.block1(x)  # 128, H/4, W/4
        x8 = self.block2(x4)  # 256, H/8, W/8
        x16 = self.middle(self.block3(x8))  # 728, H/16, W/16
        x = self.exit(x16)  # 1024, H/16, W/16
        if self.shrinks:
            check_not_consumed(x, self.shrinks)
        for conv in self.last:
            x = conv(x)
            if conv.bn is not None:
                x = F.relu(x)
        return Features(x4, x8, x16, x)  # 2048, H/16, W/16


@torch.fx.wrap  # one node of the graph, whatever it checks
def check_not_consumed(x: Tensor, pixels: int) -> None:
    """Raise ValueError if convolutions that lose ``pixels`` rows and columns leave nothing."""
    height, width = x.shape[-2:]
    if height <= pixels or width <= pixels:
        raise ValueError(
            f"the last map of the original Xception would be of {height - pixels}×"
            f"{width - pixels}: its last convolutions lose {pixels} rows and columns; "
            "give it a larger input"
        )


class Block(nn.Module):
    """Separable convolutions, each behind a ReLU, beside a 1×1 shortcut where shapes differ.

    Args:
        widths: channels of the input and of each convolution's output.
        stride: of the block.
        dilation: of every convolution in it.
        aligned: stride in the last convolution, norm after the depthwise ones; otherwise a
            max-pool strides.
    """

    def __init__(self, widths: Sequence[int], stride: int, dilation: int, aligned: bool) -> None:
        super().__init__()
        strides = [1] * (len(widths) - 2) + [stride if aligned else 1]
        self.convs = nn.ModuleList(
            SeparableConv(c_in, c_out, s, dilation, aligned)
            for c_in, c_out, s in zip(widths, widths[1:], strides, strict=False)
        )
        self.pool = nn.MaxPool2d(3, stride, padding=1) if stride > 1 and not aligned else None
        self.shortcut = None
        if widths[0] != widths[-1] or stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(widths[0], widths[-1], 1, stride, bias=False), nn.BatchNorm2d(widths[-1])
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        for conv in self.convs:
            x = conv(F.relu(x))
        if self.pool is not None:
            x = self.pool(x)
        return x + shortcut


class SeparableConv(nn.Module):
    """Depthwise 3×3 and pointwise 1×1 convolution, each with its batch norm.

    Args:
        in_channels, out_channels, stride, dilation: of the convolution.
        norm_depthwise: batch norm and ReLU between the two (arXiv 1802.02611, section 3.2).
        padding: of the depthwise convolution; its dilation unless given.
        norm: batch norm after the pointwise convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        dilation: int,
        norm_depthwise: bool,
        padding: int | None = None,
        norm: bool = True,
    ) -> None:
        super().__init__()
        padding = dilation if padding is None else padding
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, 3, stride, padding, dilation, in_channels, bias=False
        )
        self.bn_depthwise = nn.BatchNorm2d(in_channels) if norm_depthwise else None
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(x)
        if self.bn_depthwise is not None:
            x = F.relu(self.bn_depthwise(x))
        x = self.pointwise(x)
        return x if self.bn is None else self.bn(x)
