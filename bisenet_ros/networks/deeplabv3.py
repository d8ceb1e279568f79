"""DeepLab v3 (arXiv 1706.05587): a dilated backbone and atrous spatial pyramid pooling.

Shapes in comments are (channels, height, width) of one image of (3, H, W) with a ResNet at output
stride 16.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from bisenet_ros.networks.aspp import ASPP, ASPP_CONCATENATIONS
from bisenet_ros.networks.backbones import check_network
from bisenet_ros.networks.base import TrainingOutput
from bisenet_ros.networks.checks import check_choices, check_whole_numbers
from bisenet_ros.networks.dilated import DilatedNetwork
from bisenet_ros.networks.layers import ConvBNReLU

MAX_WIDTH = 2048


@dataclass(frozen=True)
class DeepLabV3Config:
    """What shapes a DeepLabV3.

    Attributes:
        num_classes: channels of the logits.
        backbone: ``resnet50``, ``resnet101``, ``xception`` or ``mobilenetv2``.
        output_stride: 16, or 8 for finer logits at three times the work.
        backbone_options: further fields of the backbone's config.
        width: channels inside the head: 256, in mmsegmentation 512.
        aspp_concatenation: order of the pyramid's maps: ``pooling_last`` (torchvision) or
            ``pooling_first`` (mmsegmentation).
        projection_kernel: side of the kernel behind the pyramid: 1, in mmsegmentation 3.
        refine: a 3×3 convolution behind the projection; mmsegmentation has none.
        separable: depthwise separable convolutions in the pyramid.
        auxiliary: build the auxiliary head on the fourth stage, which runs in training mode only.
    """

    num_classes: int
    backbone: str = "resnet50"
    output_stride: int = 16
    backbone_options: dict[str, Any] = field(default_factory=dict)
    width: int = 256
    aspp_concatenation: str = "pooling_last"
    projection_kernel: int = 1
    refine: bool = True
    separable: bool = False
    auxiliary: bool = True

    def __post_init__(self) -> None:
        check_network(self)
        check_whole_numbers(self, width=MAX_WIDTH)
        check_choices(
            self,
            aspp_concatenation=ASPP_CONCATENATIONS,
            projection_kernel=(1, 3),
            refine=(False, True),
            separable=(False, True),
        )


class DeepLabV3(DilatedNetwork):
    """The whole network.

    ``forward`` takes normalised images (N, 3, H, W), float, H and W multiples of 16. It returns
    logits (N, n, H / output_stride, W / output_stride), in training mode with an auxiliary head a
    :class:`TrainingOutput`.

    Raises:
        ValueError: if H or W is not a multiple of 16, or if a single image comes in training mode.
    """

    architecture = "deeplabv3"
    smallest_batch = 2
    head_prefixes = ("aspp", "refine", "classifier", "aux")
    auxiliary_weight = 0.5  # torchvision's; the paper trains without

    config: DeepLabV3Config

    def __init__(self, config: DeepLabV3Config) -> None:
        super().__init__()
        self.config = config
        self.stride = config.output_stride
        channels = self._build_backbone()
        self.aspp = ASPP(
            channels.stride32,
            config.width,
            config.output_stride,
            config.separable,
            config.aspp_concatenation,
            config.projection_kernel,
        )
        self.refine = ConvBNReLU(config.width, config.width) if config.refine else nn.Identity()
        self._build_classifier(nn.Dropout(0.1))

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        self.check_size(images)
        self.check_batch(images)
        features = self.backbone(images)
        x = self.aspp(features.stride32)  # 256, H/16, W/16
        x = self.refine(x)  # 256, H/16, W/16
        return self._classified(x, features.stride16)  # n, H/16, W/16
