"""BiSeNetV1 (arXiv 1808.00897): a spatial path beside a classification backbone with attention.

Shapes in comments are (channels, height, width) of one image of (3, H, W) with a ResNet-18 and 128
channels. Modules carry the names of the most widely published checkpoints (CoinCheung).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.networks.base import SegmentationNetwork, TrainingOutput
from bisenet_ros.networks.checks import MAX_CLASSES, check_choices, check_whole_numbers
from bisenet_ros.networks.layers import ConvBNReLU, initialise
from bisenet_ros.networks.resnet import WIDTHS, ResNet, ResNetConfig

BACKBONE_WIDTHS = {"resnet18": 1.0, "resnet50": 0.25}  # and the width each has by default
FUSIONS = ("conv_bn", "conv_bn_relu", "mlp")
MAX_CHANNELS = 1024


@dataclass(frozen=True)
class BiSeNetV1Config:
    """What shapes a BiSeNetV1.

    Attributes:
        num_classes: channels of the logits.
        backbone: ``resnet18`` or ``resnet50``.
        backbone_width: factor on every channel count of the backbone; by default 1 for
            ``resnet18`` and 0.25 for ``resnet50``.
        channels: of the two paths; the fused map and the head have twice as many, the inner layers
            of the spatial path and of the auxiliary heads half as many.
        fusion: how the fusion module's attention is computed from the mean: ``conv_bn`` by a 1×1
            convolution and batch norm (CoinCheung), ``conv_bn_relu`` by these and a ReLU
            (mmsegmentation), ``mlp`` by two 1×1 convolutions with a ReLU between (the paper).
        classifier_bias: give the classifying convolutions a bias.
        auxiliary: build the two auxiliary heads, which run in training mode only.
    """

    num_classes: int
    backbone: str = "resnet18"
    backbone_width: float | None = None
    channels: int = 128
    fusion: str = "conv_bn"
    classifier_bias: bool = True
    auxiliary: bool = True

    def __post_init__(self) -> None:
        check_whole_numbers(self, num_classes=MAX_CLASSES, channels=MAX_CHANNELS)
        check_choices(
            self,
            backbone=tuple(BACKBONE_WIDTHS),
            backbone_width=(None, *WIDTHS),
            fusion=FUSIONS,
            classifier_bias=(False, True),
            auxiliary=(False, True),
        )
        if self.channels % 4:
            raise ValueError(f"channels is {self.channels}; expected a multiple of 4")
        if self.backbone_width is None:
            object.__setattr__(self, "backbone_width", BACKBONE_WIDTHS[self.backbone])


class BiSeNetV1(SegmentationNetwork):
    """The whole network.

    ``forward`` takes normalised images (N, 3, H, W), float, H and W multiples of 32. It returns
    logits (N, n, H/8, W/8), in training mode with auxiliary heads a :class:`TrainingOutput` whose
    auxiliary logits are at 1/8 and 1/16.

    Raises:
        ValueError: if H or W is not a multiple of 32, or if a single image comes in training mode:
            the batch norms behind the global means would see one value per channel.
    """

    architecture = "bisenetv1"
    stride = 8
    multiple = 32
    smallest_batch = 2
    head_prefixes = ("ffm", "conv_out")
    auxiliary_prefixes = ("conv_out16", "conv_out32")

    config: BiSeNetV1Config

    def __init__(self, config: BiSeNetV1Config) -> None:
        super().__init__()
        self.config = config
        c, n, bias = config.channels, config.num_classes, config.classifier_bias
        self.cp = ContextPath(config)
        self.sp = SpatialPath(c)
        self.ffm = FeatureFusion(2 * c, config.fusion)
        self.conv_out = Head(2 * c, 2 * c, n, bias)
        if config.auxiliary:
            self.conv_out16 = Head(c, c // 2, n, bias)
            self.conv_out32 = Head(c, c // 2, n, bias)

    @property
    def backbone(self) -> ResNet:
        """The part that a classifier's weights can start."""
        return self.cp.resnet

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        self.check_size(images)
        self.check_batch(images)
        context8, context16 = self.cp(images)  # 128, H/8, W/8 and 128, H/16, W/16
        spatial = self.sp(images)  # 128, H/8, W/8
        logits = self.conv_out(self.ffm(spatial, context8))  # n, H/8, W/8
        if not (self.training and self.config.auxiliary):
            return logits
        return TrainingOutput(logits, (self.conv_out16(context8), self.conv_out32(context16)))


class SpatialPath(nn.Module):
    """Three strided convolutions that keep detail (section 3.1): 3, H, W → 128, H/8, W/8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.conv1 = ConvBNReLU(3, inner, kernel=7, stride=2)
        self.conv2 = ConvBNReLU(inner, inner, stride=2)
        self.conv3 = ConvBNReLU(inner, inner, stride=2)
        self.conv_out = ConvBNReLU(inner, channels, kernel=1)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv3(self.conv2(self.conv1(x))))


class ContextPath(nn.Module):
    """A backbone, refined by attention and its global mean (section 3.2, figure 2c).

    3, H, W → 128, H/8, W/8 and 128, H/16, W/16.
    """

    def __init__(self, config: BiSeNetV1Config) -> None:
        super().__init__()
        c = config.channels
        depth, width = int(config.backbone.removeprefix("resnet")), config.backbone_width
        assert width is not None
        self.resnet = ResNet(ResNetConfig(depth=depth, width=width))
        found = self.resnet.channels
        self.arm16 = AttentionRefinement(found.stride16, c)
        self.arm32 = AttentionRefinement(found.stride32, c)
        self.conv_head32 = ConvBNReLU(c, c)
        self.conv_head16 = ConvBNReLU(c, c)
        self.conv_avg = ConvBNReLU(found.stride32, c, kernel=1)
        for part in (self.conv_head32, self.conv_head16, self.conv_avg):
            initialise(part)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.resnet(x)
        mean = self.conv_avg(_mean(features.stride32))  # 128, 1, 1
        x32 = self.arm32(features.stride32) + mean  # 128, H/32, W/32
        x16 = self.conv_head32(_double(x32))  # 128, H/16, W/16
        x8 = _double(self.arm16(features.stride16) + x16)
        return self.conv_head16(x8), x16


class AttentionRefinement(nn.Module):
    """A map, each channel weighed by what its mean says (figure 2b): C, h, w → 128, h, w."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, out_channels)
        self.conv_atten = nn.Conv2d(out_channels, out_channels, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(out_channels)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * torch.sigmoid(self.bn_atten(self.conv_atten(_mean(x))))


class FeatureFusion(nn.Module):
    """Both paths' maps side by side, their channels re-weighed (figure 2b): → 256, H/8, W/8."""

    def __init__(self, channels: int, fusion: str) -> None:
        super().__init__()
        self.fusion = fusion
        self.convblk = ConvBNReLU(channels, channels, kernel=1)
        if fusion == "mlp":
            self.conv1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
            self.conv2 = nn.Conv2d(channels // 4, channels, 1, bias=False)
        else:
            self.conv = nn.Conv2d(channels, channels, 1, bias=False)
            self.bn = nn.BatchNorm2d(channels)
        initialise(self)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        x = self.convblk(torch.cat((spatial, context), dim=1))
        return x * torch.sigmoid(self._attention(x)) + x

    def _attention(self, x: Tensor) -> Tensor:
        if self.fusion == "mlp":
            return self.conv2(F.relu(self.conv1(_mean(x))))
        attention = self.bn(self.conv(_mean(x)))
        return F.relu(attention) if self.fusion == "conv_bn_relu" else attention


class Head(nn.Module):
    """Segmentation head: C, h, w → n, h, w."""

    def __init__(self, in_channels: int, middle: int, num_classes: int, bias: bool) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, middle)
        self.conv_out = nn.Conv2d(middle, num_classes, 1, bias=bias)
        initialise(self)
        # By fan-out few classes would start at large logits, to be unlearned first.
        nn.init.normal_(self.conv_out.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


def _mean(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3), keepdim=True)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
