"""Blocks that the DeepLab networks and PSPNet share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.networks.layers import ConvBNReLU

ASPP_CONCATENATIONS = ("pooling_last", "pooling_first")


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (arXiv 1706.05587, section 3.3): (C, h, w) → (width, h, w).

    A 1×1 and three dilated 3×3 convolutions and the image's mean, concatenated and projected.

    Args:
        in_channels: C.
        width: channels of each branch and of the output.
        output_stride: of the input; 8 doubles the rates 6, 12, 18 of 16.
        separable: depthwise separable 3×3 convolutions (arXiv 1802.02611, section 3.1).
        concatenation: ``pooling_last`` (torchvision) or ``pooling_first`` (mmsegmentation).
        projection_kernel: 1 as in the paper, 3 in mmsegmentation.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        output_stride: int,
        separable: bool,
        concatenation: str,
        projection_kernel: int,
    ) -> None:
        super().__init__()
        block = SeparableConvBNReLU if separable else ConvBNReLU
        rates = [rate * 16 // output_stride for rate in (6, 12, 18)]
        self.convs = nn.ModuleList(
            [
                ConvBNReLU(in_channels, width, kernel=1),
                *(block(in_channels, width, dilation=rate) for rate in rates),
            ]
        )
        self.pooling = ImagePooling(in_channels, width)
        self.pooling_first = concatenation == "pooling_first"
        self.project = ConvBNReLU(5 * width, width, projection_kernel)

    def forward(self, x: Tensor) -> Tensor:
        maps = [conv(x) for conv in self.convs]
        pooled = self.pooling(x)
        maps = [pooled, *maps] if self.pooling_first else [*maps, pooled]
        return self.project(torch.cat(maps, dim=1))


class ImagePooling(nn.Module):
    """The mean of the whole map, embedded and repeated at every pixel: (C, h, w) → (width, h, w).

    Its batch norm sees one value per image and channel, so training takes two images at least.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.embed = ConvBNReLU(in_channels, width, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.embed(x.mean(dim=(2, 3), keepdim=True))
        return F.interpolate(pooled, size=x.shape[-2:], mode="nearest")


class SeparableConvBNReLU(nn.Sequential):
    """Depthwise 3×3 and pointwise 1×1 convolution, each with batch norm and ReLU.

    Args:
        in_channels, out_channels: of the whole.
        dilation: of the depthwise convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.depthwise = ConvBNReLU(in_channels, in_channels, groups=in_channels, dilation=dilation)
        self.pointwise = ConvBNReLU(in_channels, out_channels, kernel=1)


class AuxiliaryHead(nn.Module):
    """Logits from the backbone's fourth stage, for training only (arXiv 1612.01105, section 3.3).

    (C, h, w) → (n, h, w) through C / 4 channels.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, in_channels // 4)
        self.drop = nn.Dropout2d(0.1)
        self.classifier = nn.Conv2d(in_channels // 4, num_classes, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.drop(self.conv(x)))
