"""MobileNetV2 (arXiv 1801.04381) as a backbone, dilated where DeepLab needs it.

Module names are torchvision's, so its weights load without a table. Shapes in comments are
(channels, height, width) of one image of (3, H, W) at output stride 16.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.networks.checks import check_choices
from bisenet_ros.networks.features import Backbone, FeatureChannels, Features
from bisenet_ros.networks.layers import initialise

OUTPUT_STRIDES = (8, 16, 32)
PADDINGS = ("depthwise", "block_input")
# Expansion, channels, blocks, stride of each stage (table 2).
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# Index of the last layer at strides 4, 8, 16, 32: 24, H/4, W/4; 32, H/8, W/8; 96, H/16, W/16 and
# 320, H/16, W/16.
LAST_OF_STRIDE = (3, 6, 13, 17)


@dataclass(frozen=True)
class MobileNetV2Config:
    """What shapes a MobileNetV2.

    Attributes:
        output_stride: input pixels per pixel of the last map; below 32 dilation replaces strides.
        padding: ``depthwise`` pads the depthwise convolution's input with zeros (torchvision);
            ``block_input`` pads before the expansion, so that the border is what batch norm makes
            of zero, and leaves the stem unpadded (VainF/DeepLabV3Plus-Pytorch).
    """

    output_stride: int = 16
    padding: str = "depthwise"

    def __post_init__(self) -> None:
        check_choices(self, output_stride=OUTPUT_STRIDES, padding=PADDINGS)


class MobileNetV2(Backbone):
    """The convolutional part of a MobileNetV2 without its last, 1280 channels wide layer."""

    channels = FeatureChannels(24, 32, 96, 320)

    def __init__(self, config: MobileNetV2Config) -> None:
        super().__init__()
        self.config = config
        pad_depthwise = config.padding == "depthwise"
        layers: list[nn.Module] = [_conv_bn_relu6(3, 32, 3, 2, padding=1 if pad_depthwise else 0)]
        channels, reached, dilation = 32, 2, 1
        for expansion, out, blocks, stride in STAGES:
            previous = dilation  # which the first block of a dilated stage keeps
            if reached * stride > config.output_stride:
                dilation, stride = dilation * stride, 1
            reached *= stride
            for i in range(blocks):
                s, d = (stride, previous) if i == 0 else (1, dilation)
                layers.append(InvertedResidual(channels, out, s, d, expansion, pad_depthwise))
                channels = out
        self.features = nn.Sequential(*layers)
        initialise(self)

    def forward(self, x: Tensor) -> Features:
        maps = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in LAST_OF_STRIDE:
                maps.append(x)
        return Features(*maps)


def _conv_bn_relu6(
    in_channels: int,
    out_channels: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection without an activation (figure 3b)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        dilation: int,
        expansion: int,
        pad_depthwise: bool,
    ) -> None:
        super().__init__()
        middle = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        self.pad = 0 if pad_depthwise else dilation
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(_conv_bn_relu6(in_channels, middle, 1))
        layers += [
            _conv_bn_relu6(middle, middle, 3, stride, dilation - self.pad, dilation, middle),
            nn.Conv2d(middle, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, [self.pad] * 4) if self.pad else x
        return x + self.conv(padded) if self.residual else self.conv(padded)
