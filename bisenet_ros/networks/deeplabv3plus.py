"""DeepLab v3+ (arXiv 1802.02611): DeepLab v3 as the encoder, a decoder at a quarter of the size.

Shapes in comments are (channels, height, width) of one image of (3, H, W) with a ResNet at output
stride 16.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.networks.aspp import ASPP, ASPP_CONCATENATIONS, SeparableConvBNReLU
from bisenet_ros.networks.backbones import check_network
from bisenet_ros.networks.base import TrainingOutput
from bisenet_ros.networks.checks import check_choices, check_whole_numbers
from bisenet_ros.networks.dilated import DilatedNetwork
from bisenet_ros.networks.layers import ConvBNReLU

DECODER_CONCATENATIONS = ("low_level_last", "low_level_first")
MAX_WIDTH = 2048


@dataclass(frozen=True)
class DeepLabV3PlusConfig:
    """What shapes a DeepLabV3Plus.

    Attributes:
        num_classes: channels of the logits.
        backbone: ``xception``, ``resnet50``, ``resnet101`` or ``mobilenetv2``.
        output_stride: of the encoder: 16, or 8 for finer maps at three times the work.
        backbone_options: further fields of the backbone's config.
        width: channels inside the encoder's head and the decoder: 256, in mmsegmentation 512.
        low_level_width: channels to which the feature map at 1/4 is reduced.
        separable: depthwise separable convolutions in the pyramid and in the decoder.
        aspp_concatenation: order of the pyramid's maps: ``pooling_last`` or ``pooling_first``
            (mmsegmentation).
        projection_kernel: side of the kernel behind the pyramid: 1, in mmsegmentation 3.
        decoder_concatenation: ``low_level_last`` or ``low_level_first`` (VainF).
        decoder_layers: 3×3 convolutions in the decoder: 2, one in VainF's.
        align_corners: how the encoder's map is enlarged.
        auxiliary: build an auxiliary head on the fourth stage as in mmsegmentation, which runs in
            training mode only; the paper trains without.
    """

    num_classes: int
    backbone: str = "resnet50"
    output_stride: int = 16
    backbone_options: dict[str, Any] = field(default_factory=dict)
    width: int = 256
    low_level_width: int = 48
    separable: bool = True
    aspp_concatenation: str = "pooling_last"
    projection_kernel: int = 1
    decoder_concatenation: str = "low_level_last"
    decoder_layers: int = 2
    align_corners: bool = False
    auxiliary: bool = False

    def __post_init__(self) -> None:
        check_network(self)
        check_whole_numbers(self, width=MAX_WIDTH, low_level_width=MAX_WIDTH)
        check_choices(
            self,
            separable=(False, True),
            aspp_concatenation=ASPP_CONCATENATIONS,
            projection_kernel=(1, 3),
            decoder_concatenation=DECODER_CONCATENATIONS,
            decoder_layers=(1, 2),
            align_corners=(False, True),
        )


class DeepLabV3Plus(DilatedNetwork):
    """The whole network.

    ``forward`` takes normalised images (N, 3, H, W), float, H and W multiples of 16. It returns
    logits (N, n, H/4, W/4), in training mode with an auxiliary head a :class:`TrainingOutput`.

    Raises:
        ValueError: if H or W is not a multiple of 16, or if a single image comes in training mode.
    """

    architecture = "deeplabv3plus"
    stride = 4
    smallest_batch = 2
    head_prefixes = ("aspp", "low_level", "decoder", "classifier", "aux")
    auxiliary_weight = 0.4  # mmsegmentation's; the paper trains without

    config: DeepLabV3PlusConfig

    def __init__(self, config: DeepLabV3PlusConfig) -> None:
        super().__init__()
        self.config = config
        channels = self._build_backbone()
        self.aspp = ASPP(
            channels.stride32,
            config.width,
            config.output_stride,
            config.separable,
            config.aspp_concatenation,
            config.projection_kernel,
        )
        self.low_level = ConvBNReLU(channels.stride4, config.low_level_width, kernel=1)
        block = SeparableConvBNReLU if config.separable else ConvBNReLU
        widths = [config.width + config.low_level_width] + [config.width] * config.decoder_layers
        self.decoder = nn.Sequential(
            *(block(c_in, c_out) for c_in, c_out in zip(widths, widths[1:], strict=False))
        )
        self._build_classifier(nn.Dropout(0.1))

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        self.check_size(images)
        self.check_batch(images)
        features = self.backbone(images)
        low = self.low_level(features.stride4)  # 48, H/4, W/4
        x = self.aspp(features.stride32)  # 256, H/16, W/16
        x = F.interpolate(
            x,
            size=low.shape[-2:],  # height first, then width
            mode="bilinear",
            align_corners=self.config.align_corners,
        )  # 256, H/4, W/4
        low_first = self.config.decoder_concatenation == "low_level_first"
        x = torch.cat((low, x) if low_first else (x, low), dim=1)  # 304, H/4, W/4
        return self._classified(self.decoder(x), features.stride16)  # n, H/4, W/4
