"""ResNet (arXiv 1512.03385) as a backbone: dilation, deep stem and the other published variants.

Module names are torchvision's, so its weights load without a table. Shapes in comments are
(channels, height, width) of one image of (3, H, W) through a ResNet-50 of output stride 32.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.networks.checks import check_choices, check_tuple
from bisenet_ros.networks.features import Backbone, FeatureChannels, Features
from bisenet_ros.networks.layers import initialise

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # per stage, by depth
OUTPUT_STRIDES = (8, 16, 32)
FIRST_BLOCK_DILATIONS = ("previous", "own")
STRIDES_ON = ("3x3", "1x1")
WIDTHS = (0.25, 0.5, 1.0)
MAX_STEM_CHANNELS = 256
MAX_MULTI_GRID = 8


@dataclass(frozen=True)
class ResNetConfig:
    """What shapes a ResNet.

    Attributes:
        depth: 18, 50 or 101.
        output_stride: input pixels per pixel of the last map; below 32 dilation replaces the
            strides of the last one or two stages (ResNet-18 has no dilated form here).
        first_block_dilation: dilation of the first block of a dilated stage: that of the
            ``previous`` stage (torchvision, mmsegmentation) or the stage's ``own`` (semseg, the
            Caffe models). It computes what the strided network does if it is ``previous`` with
            the stride on the 3×3, ``own`` with the stride on the 1×1.
        stride_on: which convolution of a bottleneck carries the stride: ``3x3``, or ``1x1`` as in
            the paper and the Caffe models.
        stem_channels: one number for the 7×7 stem, three for the deep one of 3×3 convolutions:
            32, 32, 64 in mmsegmentation (ResNetV1c), 64, 64, 128 in semseg.
        ceil_pool: round the max-pool's output size up, as Caffe does: one more row and column.
        multi_grid: factors on the dilation of the last stage's three blocks (arXiv 1706.05587,
            section 3.2.1).
        width: factor on every channel count.
    """

    depth: int = 50
    output_stride: int = 32
    first_block_dilation: str = "previous"
    stride_on: str = "3x3"
    stem_channels: tuple[int, ...] = (64,)
    ceil_pool: bool = False
    multi_grid: tuple[int, ...] = (1, 1, 1)
    width: float = 1.0

    def __post_init__(self) -> None:
        check_choices(
            self,
            depth=tuple(BLOCKS),
            output_stride=OUTPUT_STRIDES,
            first_block_dilation=FIRST_BLOCK_DILATIONS,
            stride_on=STRIDES_ON,
            ceil_pool=(False, True),
            width=WIDTHS,
        )
        check_tuple(self, "stem_channels", (1, 3), MAX_STEM_CHANNELS)
        check_tuple(self, "multi_grid", (3,), MAX_MULTI_GRID)
        if self.depth == 18 and (self.output_stride != 32 or self.multi_grid != (1, 1, 1)):
            raise ValueError(
                f"output_stride is {self.output_stride} and multi_grid {self.multi_grid} at "
                "depth 18; expected 32 and (1, 1, 1): only depths 50 and 101 have a dilated form"
            )


class ResNet(Backbone):
    """The convolutional part of a ResNet."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.aligned = not config.ceil_pool
        block: type[BasicBlock] | type[Bottleneck] = (
            BasicBlock if config.depth == 18 else Bottleneck
        )
        stem = [int(c * config.width) for c in config.stem_channels]
        if len(stem) == 1:
            self.conv1 = nn.Conv2d(3, stem[0], 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(stem[0])
        else:
            self.stem = _deep_stem(stem)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=config.ceil_pool)

        widths = [int(c * config.width) for c in (64, 128, 256, 512)]
        entering = [stem[-1], *(w * block.expansion for w in widths)]
        stages = []
        for i, (stride, dilations) in enumerate(_plan(config)):
            layers: list[nn.Module] = []
            for j, dilation in enumerate(dilations):
                channels, s = (entering[i], stride) if j == 0 else (entering[i + 1], 1)
                layers.append(block(channels, widths[i], s, dilation, config.stride_on))
            stages.append(nn.Sequential(*layers))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.channels = FeatureChannels(*entering[1:])
        self._initialise()

    def forward(self, x: Tensor) -> Features:
        x = self._first(x)  # 64, H/2, W/2
        x = self.maxpool(x)  # 64, H/4, W/4
        x4 = self.layer1(x)  # 256, H/4, W/4
        x8 = self.layer2(x4)  # 512, H/8, W/8
        x16 = self.layer3(x8)  # 1024, H/16, W/16
        return Features(x4, x8, x16, self.layer4(x16))  # 2048, H/32, W/32

    def _first(self, x: Tensor) -> Tensor:
        if len(self.config.stem_channels) == 1:
            return F.relu(self.bn1(self.conv1(x)))
        return self.stem(x)

    def _initialise(self) -> None:
        initialise(self)
        for module in self.modules():
            # Residual branches add nothing at the first step (arXiv 1706.02677, section 5.1).
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)
            elif isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)


def _plan(config: ResNetConfig) -> list[tuple[int, list[int]]]:
    """For each stage the stride of its first block and the dilation of every block."""
    plan = []
    reached, dilation = 4, 1
    for i, blocks in enumerate(BLOCKS[config.depth]):
        previous, stride = dilation, 1 if i == 0 else 2
        if reached * stride > config.output_stride:
            dilation, stride = dilation * stride, 1
        reached *= stride
        first = previous if config.first_block_dilation == "previous" else dilation
        dilations = [first] + [dilation] * (blocks - 1)
        if i == 3 and config.multi_grid != (1, 1, 1):
            dilations = [dilation * factor for factor in config.multi_grid]
        plan.append((stride, dilations))
    return plan


def _deep_stem(channels: list[int]) -> nn.Sequential:
    """Three 3×3 convolutions in place of the 7×7 one; the first has stride 2."""
    layers: list[nn.Module] = []
    for i, (c_in, c_out) in enumerate(zip([3, *channels], channels, strict=False)):
        layers += [
            nn.Conv2d(c_in, c_out, 3, stride=2 if i == 0 else 1, padding=1, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and the residual (ResNet-18; figure 5 left); never dilated here."""

    expansion = 1

    def __init__(
        self, in_channels: int, channels: int, stride: int, dilation: int, stride_on: str
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 and the residual (ResNet-50 and deeper; figure 5 right)."""

    expansion = 4

    def __init__(
        self, in_channels: int, channels: int, stride: int, dilation: int, stride_on: str
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
        out = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(
            channels, channels, 3, second, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = _shortcut(in_channels, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)
