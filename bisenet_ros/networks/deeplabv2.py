"""DeepLab v2 (arXiv 1606.00915): a dilated ResNet-101 and four summed dilated classifiers.

Shapes in comments are (channels, height, width) of one image of (3, H, W).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from bisenet_ros.networks.backbones import check_network
from bisenet_ros.networks.checks import check_tuple
from bisenet_ros.networks.dilated import DilatedNetwork

MAX_RATE = 64


def _caffe() -> dict[str, Any]:
    return {"first_block_dilation": "own", "stride_on": "1x1"}


@dataclass(frozen=True)
class DeepLabV2Config:
    """What shapes a DeepLabV2.

    Attributes:
        num_classes: channels of the logits.
        backbone: ``resnet101``, or ``resnet50``.
        output_stride: 8 as in the paper, or 16.
        backbone_options: further fields of the backbone's config; the arithmetic of the paper's
            Caffe model unless given. Its ceil-mode pooling (``ceil_pool``) is left out, since it
            adds a row and a column to the logits.
        rates: dilations of the four classifiers; the paper's smaller field of view, ASPP-S, has
            2, 4, 8, 12.
        auxiliary: without effect; this network has no auxiliary head.
    """

    num_classes: int
    backbone: str = "resnet101"
    output_stride: int = 8
    backbone_options: dict[str, Any] = field(default_factory=_caffe)
    rates: tuple[int, ...] = (6, 12, 18, 24)
    auxiliary: bool = False

    def __post_init__(self) -> None:
        check_network(self, backbones=("resnet50", "resnet101"))
        check_tuple(self, "rates", (4,), MAX_RATE)


class DeepLabV2(DilatedNetwork):
    """The whole network.

    ``forward`` takes normalised images (N, 3, H, W), float, H and W multiples of 16, and returns
    logits (N, n, H/8, W/8); one row and one column more with ceil-mode pooling.

    Raises:
        ValueError: if H or W is not a multiple of 16.
    """

    architecture = "deeplabv2"
    head_prefixes = ("classifiers",)

    config: DeepLabV2Config

    def __init__(self, config: DeepLabV2Config) -> None:
        super().__init__()
        self.config = config
        self.stride = config.output_stride
        channels = self._build_backbone().stride32
        self.classifiers = nn.ModuleList(
            _classifier(channels, config.num_classes, rate) for rate in config.rates
        )

    def forward(self, images: Tensor) -> Tensor:
        self.check_size(images)
        x = self.backbone(images).stride32  # 2048, H/8, W/8
        first, *others = self.classifiers
        logits = first(x)  # n, H/8, W/8
        for classifier in others:
            logits = logits + classifier(x)
        return logits


def _classifier(in_channels: int, num_classes: int, rate: int) -> nn.Conv2d:
    layer = nn.Conv2d(in_channels, num_classes, 3, padding=rate, dilation=rate)
    nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
