"""BiSeNetV2 (arXiv 2004.02147): two branches, guided aggregation, booster heads in training.

Shapes in comments are (channels, height, width) for one image of (3, H, W) at width 1. Modules
are named as in the most widely published checkpoints, so those load without a key table.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.networks.base import SegmentationNetwork, TrainingOutput
from bisenet_ros.networks.checks import check_choices
from bisenet_ros.networks.layers import ConvBNReLU, conv_bn, initialise

AGGREGATIONS = ("nearest", "bilinear", "bilinear_aligned")
AUXILIARY_HEADS = ("expanded", "plain")
STRIDE = 8  # input pixels per logit
MULTIPLE = 32  # the deepest stage is at 1/32, so sides must be multiples of it


# Upper limits: a file that exceeds them is broken or hostile, and would exhaust the memory.
LIMITS = {
    "num_classes": 4096,
    "depth": 64,
    "head_width": 16384,
    "auxiliary_width": 16384,
}
WIDTHS = (0.125, 16.0)  # factors on channel counts
CHANNEL_STEP = 8  # channel counts are multiples of it, which convolution kernels run best


@dataclass(frozen=True)
class BiSeNetV2Config:
    """Architecture options of BiSeNetV2.

    Attributes:
        num_classes: channels of the logits.
        width: the paper's α, a factor on every channel count; may be a fraction, and channel
            counts are then rounded to multiples of 8.
        depth: the paper's d, a factor on the number of gather-and-expansion layers per stage.
        head_width: channels inside the segmentation head.
        detail_width, semantic_width: a factor of its own for that branch; 0 for ``width``. What the
            aggregation puts out is as wide as the detail branch.
        aggregation: upsampling inside the guided aggregation layer: ``nearest``, ``bilinear``
            (align_corners=False) or ``bilinear_aligned`` (align_corners=True).
        aggregation_bias: give the 1×1 convolutions of the aggregation a bias (mmsegmentation).
        auxiliary: build the paper's four booster heads, which run in training mode only.
        auxiliary_width: channels inside the booster heads.
        auxiliary_head: ``expanded`` for heads that double the size and widen before they classify,
            ``plain`` for heads like the main one (CoinCheung until September 2020).
    """

    num_classes: int
    width: float = 1
    depth: int = 1
    head_width: int = 1024
    detail_width: float = 0
    semantic_width: float = 0
    aggregation: str = "nearest"
    aggregation_bias: bool = False
    auxiliary: bool = True
    auxiliary_width: int = 128
    auxiliary_head: str = "expanded"

    def __post_init__(self) -> None:
        check_choices(
            self,
            aggregation=AGGREGATIONS,
            aggregation_bias=(False, True),
            auxiliary=(False, True),
            auxiliary_head=AUXILIARY_HEADS,
        )
        for name, most in LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ValueError(f"{name} is {value!r}; expected an integer from 1 to {most}")
        low, high = WIDTHS
        for name in ("width", "detail_width", "semantic_width"):
            value = getattr(self, name)
            if name != "width" and value == 0 and not isinstance(value, bool):
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                raise ValueError(f"{name} is {value!r}; expected a number from {low} to {high:g}")

    def channels(self, branch: str, at_width_1: int) -> int:
        """Channels of a layer of the ``detail`` or the ``semantic`` branch."""
        factor = getattr(self, f"{branch}_width") or self.width
        return max(CHANNEL_STEP, CHANNEL_STEP * round(at_width_1 * factor / CHANNEL_STEP))


@dataclass(frozen=True)
class BiSeNetV2LargeConfig(BiSeNetV2Config):
    """BiSeNetV2-Large (section 4.4): α = 2, d = 3, head 2048.

    The paper leaves open how d acts; here it multiplies the layers of each stage of the semantic
    branch, which gives 22.6 M parameters and 105.7 G multiply-adds at 512×1024 (118.5 published).
    """

    width: float = 2
    depth: int = 3
    head_width: int = 2048


class BiSeNetV2(SegmentationNetwork):
    """The whole network.

    ``forward`` takes normalised images (N, 3, H, W), float, H and W multiples of 32. In eval mode
    it returns logits (N, n, H/8, W/8), in training mode a :class:`TrainingOutput`. Upsample them
    to the image size with :func:`bisenet_ros.networks.upsample`.

    Raises:
        ValueError: H or W is not a multiple of 32; the caller has to pad.
    """

    architecture = "bisenetv2"
    stride = STRIDE
    multiple = MULTIPLE
    smallest_batch = 2

    config: BiSeNetV2Config

    def __init__(self, config: BiSeNetV2Config) -> None:
        super().__init__()
        self.config = config
        fine, merged = (config.channels("detail", count) for count in (64, 128))
        c2, c3, c4, c5 = (config.channels("semantic", count) for count in (16, 32, 64, 128))
        self.detail = DetailBranch(fine, merged)
        self.segment = SemanticBranch((c2, c3, c4, c5), config.depth)
        self.bga = GuidedAggregation(merged, c5, config.aggregation, config.aggregation_bias)
        self.head = Head(merged, config.head_width, config.num_classes)
        if config.auxiliary:
            middle, n = config.auxiliary_width, config.num_classes
            expanded = config.auxiliary_head == "expanded"
            self.aux2 = Head(c2, middle, n, expansion=4 if expanded else None)
            self.aux3 = Head(c3, middle, n, expansion=8 if expanded else None)
            self.aux4 = Head(c4, middle, n, expansion=16 if expanded else None)
            self.aux5_4 = Head(c5, middle, n, expansion=32 if expanded else None)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        self.check_size(images)
        self.check_batch(images)
        detail = self.detail(images)  # 128, H/8, W/8
        x2, x3, x4, x5_4, semantic = self.segment(images)  # 1/4, 1/8, 1/16, 1/32, 1/32
        logits = self.head(self.bga(detail, semantic))  # n, H/8, W/8
        if not (self.training and self.config.auxiliary):
            return logits
        auxiliary = (self.aux2(x2), self.aux3(x3), self.aux4(x4), self.aux5_4(x5_4))
        return TrainingOutput(logits, auxiliary)

    def _initialise(self) -> None:
        initialise(self)
        for module in self.modules():
            if isinstance(module, GatherExpand | GatherExpandDown):
                # The residual branch adds nothing at the first step (arXiv 1706.02677, § 5.1).
                nn.init.constant_(_weight(module.conv2[1]), 0.0)
            elif isinstance(module, Head):
                # Fan-out scaling would start few classes at logits of ±6, to be unlearned first.
                nn.init.normal_(_weight(module.conv_out[1]), std=0.01)


class BiSeNetV2Large(BiSeNetV2):
    """The same network at the paper's larger setting; see :class:`BiSeNetV2LargeConfig`."""

    architecture = "bisenetv2-large"


class DetailBranch(nn.Module):
    """Wide and shallow (section 3.1): 3, H, W → 128, H/8, W/8."""

    def __init__(self, c1: int, c2: int) -> None:
        super().__init__()
        self.S1 = nn.Sequential(ConvBNReLU(3, c1, stride=2), ConvBNReLU(c1, c1))
        self.S2 = nn.Sequential(
            ConvBNReLU(c1, c1, stride=2), ConvBNReLU(c1, c1), ConvBNReLU(c1, c1)
        )
        self.S3 = nn.Sequential(
            ConvBNReLU(c1, c2, stride=2), ConvBNReLU(c2, c2), ConvBNReLU(c2, c2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.S3(self.S2(self.S1(x)))


class SemanticBranch(nn.Module):
    """Narrow and deep (section 3.2); returns the four stages and the context embedding."""

    def __init__(self, channels: tuple[int, int, int, int], depth: int) -> None:
        super().__init__()
        c2, c3, c4, c5 = channels
        self.S1S2 = Stem(c2)
        self.S3 = _stage(c2, c3, 2 * depth)
        self.S4 = _stage(c3, c4, 2 * depth)
        self.S5_4 = _stage(c4, c5, 4 * depth)
        self.S5_5 = ContextEmbedding(c5)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x2 = self.S1S2(x)  # 16, H/4, W/4
        x3 = self.S3(x2)  # 32, H/8, W/8
        x4 = self.S4(x3)  # 64, H/16, W/16
        x5_4 = self.S5_4(x4)  # 128, H/32, W/32
        return x2, x3, x4, x5_4, self.S5_5(x5_4)


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def _stage(in_channels: int, out_channels: int, layers: int) -> nn.Sequential:
    rest = (GatherExpand(out_channels) for _ in range(layers - 1))
    return nn.Sequential(GatherExpandDown(in_channels, out_channels), *rest)


class Stem(nn.Module):
    """Figure 4a: a strided convolution and a max-pool side by side: 3, H, W → 16, H/4, W/4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(3, channels, stride=2)
        self.left = nn.Sequential(
            ConvBNReLU(channels, channels // 2, kernel=1),
            ConvBNReLU(channels // 2, channels, stride=2),
        )
        self.right = nn.MaxPool2d(3, stride=2, padding=1)
        self.fuse = ConvBNReLU(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.fuse(torch.cat((self.left(x), self.right(x)), dim=1))


class GatherExpand(nn.Module):
    """Gather-and-expansion layer of stride 1 (figure 5b), with its residual."""

    def __init__(self, channels: int, expansion: int = 6) -> None:
        super().__init__()
        middle = channels * expansion
        self.conv1 = ConvBNReLU(channels, channels)
        self.dwconv = nn.Sequential(
            *conv_bn(channels, middle, groups=channels), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(*conv_bn(middle, channels, kernel=1))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.conv2(self.dwconv(self.conv1(x))))


class GatherExpandDown(nn.Module):
    """Gather-and-expansion layer of stride 2 (figure 5c), with its separable shortcut."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int = 6) -> None:
        super().__init__()
        middle = in_channels * expansion
        self.conv1 = ConvBNReLU(in_channels, in_channels)
        self.dwconv1 = nn.Sequential(*conv_bn(in_channels, middle, stride=2, groups=in_channels))
        self.dwconv2 = nn.Sequential(*conv_bn(middle, middle, groups=middle), nn.ReLU(inplace=True))
        self.conv2 = nn.Sequential(*conv_bn(middle, out_channels, kernel=1))
        self.shortcut = nn.Sequential(
            *conv_bn(in_channels, in_channels, stride=2, groups=in_channels),
            *conv_bn(in_channels, out_channels, kernel=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        expanded = self.dwconv2(self.dwconv1(self.conv1(x)))
        return F.relu(self.conv2(expanded) + self.shortcut(x))


class ContextEmbedding(nn.Module):
    """Figure 4b: the global mean, embedded and added back to every pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.conv_gap = ConvBNReLU(channels, channels, kernel=1)
        self.conv_last = ConvBNReLU(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)  # 128, 1, 1
        return self.conv_last(x + self.conv_gap(self.bn(mean)))


class GuidedAggregation(nn.Module):
    """Bilateral guided aggregation (section 3.3, figure 6): → 128, H/8, W/8."""

    def __init__(self, c: int, semantic: int, aggregation: str, bias: bool = False) -> None:
        super().__init__()
        self.aggregation = aggregation
        self.left1 = nn.Sequential(*conv_bn(c, c, groups=c), nn.Conv2d(c, c, 1, bias=bias))
        self.left2 = nn.Sequential(
            *conv_bn(c, c, stride=2),
            nn.AvgPool2d(3, stride=2, padding=1),
        )
        self.right1 = nn.Sequential(*conv_bn(semantic, c))
        self.right2 = nn.Sequential(
            *conv_bn(semantic, semantic, groups=semantic), nn.Conv2d(semantic, c, 1, bias=bias)
        )
        self.conv = nn.Sequential(*conv_bn(c, c), nn.ReLU(inplace=True))

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        size = detail.shape[-2:]
        gate = self.right1(semantic)  # 128, H/32, W/32
        if self.aggregation == "nearest":
            # Nearest upsampling commutes with the sigmoid, which then runs on 1/16 of the pixels.
            gate = self._up(torch.sigmoid(gate), size)
        else:
            gate = torch.sigmoid(self._up(gate, size))
        fine = self.left1(detail) * gate
        coarse = self.left2(detail) * torch.sigmoid(self.right2(semantic))
        return self.conv(fine + self._up(coarse, size))

    def _up(self, x: Tensor, size: torch.Size) -> Tensor:
        if self.aggregation == "nearest":
            return F.interpolate(x, size=size, mode="nearest")
        aligned = self.aggregation == "bilinear_aligned"
        return F.interpolate(x, size=size, mode="bilinear", align_corners=aligned)


class Head(nn.Module):
    """Segmentation head (figure 4c), or a booster head when ``expansion`` is given.

    A booster first doubles its input's size and widens it to ``expansion``² channels.
    """

    def __init__(
        self, in_channels: int, middle: int, num_classes: int, expansion: int | None = None
    ) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, middle)
        self.drop = nn.Dropout(0.1)
        widen: nn.Module = nn.Identity()
        if expansion is not None:
            wide = expansion * expansion
            widen = nn.Sequential(nn.Upsample(scale_factor=2), ConvBNReLU(middle, wide))
            middle = wide
        self.conv_out = nn.Sequential(widen, nn.Conv2d(middle, num_classes, kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.drop(self.conv(x)))
