"""PSPNet (arXiv 1612.01105): a dilated ResNet and pyramid pooling.

Shapes in comments are (channels, height, width) of one image of (3, H, W).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.networks.backbones import check_network
from bisenet_ros.networks.base import TrainingOutput
from bisenet_ros.networks.checks import check_choices, check_tuple, check_whole_numbers
from bisenet_ros.networks.dilated import DilatedNetwork
from bisenet_ros.networks.layers import ConvBNReLU

MAX_WIDTH = 2048
MAX_BIN = 32


@dataclass(frozen=True)
class PSPNetConfig:
    """What shapes a PSPNet.

    Attributes:
        num_classes: channels of the logits.
        backbone: ``resnet50`` or ``resnet101``.
        output_stride: 8 as in the paper, or 16.
        backbone_options: further fields of the backbone's config.
        bins: into how many rows and columns each of the four branches pools.
        width: channels behind the pyramid.
        align_corners: how the pooled maps are enlarged; True in semseg and the paper's model.
        auxiliary: build the auxiliary head on the fourth stage, which runs in training mode only.
    """

    num_classes: int
    backbone: str = "resnet50"
    output_stride: int = 8
    backbone_options: dict[str, Any] = field(default_factory=dict)
    bins: tuple[int, ...] = (1, 2, 3, 6)
    width: int = 512
    align_corners: bool = False
    auxiliary: bool = True

    def __post_init__(self) -> None:
        check_network(self, backbones=("resnet50", "resnet101"))
        check_choices(self, align_corners=(False, True))
        check_whole_numbers(self, width=MAX_WIDTH)
        check_tuple(self, "bins", (4,), MAX_BIN)


class PSPNet(DilatedNetwork):
    """The whole network.

    ``forward`` takes normalised images (N, 3, H, W), float, H and W multiples of 16. It returns
    logits (N, n, H/8, W/8), in training mode with an auxiliary head a :class:`TrainingOutput`.

    Raises:
        ValueError: if H or W is not a multiple of 16, or if a single image comes in training mode.
    """

    architecture = "pspnet"
    head_prefixes = ("pyramid", "bottleneck", "classifier", "aux")
    auxiliary_weight = 0.4  # section 3.3

    config: PSPNetConfig

    def __init__(self, config: PSPNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stride = config.output_stride
        self.smallest_batch = 2 if 1 in config.bins else 1
        # With aligned corners a map spans stride·k + 1 pixels: semseg trains on 473 and 713.
        self.one_more_than = self.stride if config.align_corners else None
        channels = self._build_backbone()
        self.pyramid = PyramidPooling(channels.stride32, config.bins, config.align_corners)
        self.bottleneck = ConvBNReLU(2 * channels.stride32, config.width)
        self._build_classifier(nn.Dropout2d(0.1))

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        self.check_size(images)
        self.check_batch(images)
        features = self.backbone(images)
        x = self.pyramid(features.stride32)  # 4096, H/8, W/8
        x = self.bottleneck(x)  # 512, H/8, W/8
        return self._classified(x, features.stride16)  # n, H/8, W/8


class PyramidPooling(nn.Module):
    """Means over grids of bins, embedded and enlarged, beside the map itself (section 3.2).

    (C, h, w) → (2C, h, w). The batch norm of a single bin sees one value per image and channel, so
    training takes two images at least.
    """

    def __init__(self, in_channels: int, bins: tuple[int, ...], align_corners: bool) -> None:
        super().__init__()
        self.bins = bins
        self.align_corners = align_corners
        width = in_channels // len(bins)
        self.convs = nn.ModuleList(ConvBNReLU(in_channels, width, kernel=1) for _ in bins)

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for bins, conv in zip(self.bins, self.convs, strict=True):
            pooled = conv(adaptive_mean(x, bins))  # C/4, bins, bins
            maps.append(
                F.interpolate(
                    pooled, size=x.shape[-2:], mode="bilinear", align_corners=self.align_corners
                )
            )
        return torch.cat(maps, dim=1)


@torch.fx.wrap  # one node of the graph, since the slices depend on the size
def adaptive_mean(x: Tensor, bins: int) -> Tensor:
    """``adaptive_avg_pool2d(x, bins)`` of slices, which every exporter knows at any size."""
    for dim in (2, 3):
        size = x.shape[dim]
        # Rounded up without negative numbers: ONNX divides whole numbers towards zero.
        spans = [(i * size // bins, ((i + 1) * size + bins - 1) // bins) for i in range(bins)]
        slices = [x.narrow(dim, start, end - start) for start, end in spans]
        x = torch.cat([s.mean(dim=dim, keepdim=True) for s in slices], dim=dim)
    return x
