"""kazuto1011/deeplab-pytorch: DeepLab v2 on ResNet-101, with the arithmetic of its Caffe model."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from bisenet_ros.checkpoints.convert.base import Match, Rule, Source
from bisenet_ros.checkpoints.convert.shapes import class_count, resnet_name
from bisenet_ros.errors import WeightsError
from bisenet_ros.networks.resnet import BLOCKS

NAME = "kazuto"
BASE = r"(?:base\.)?"  # of the wrapper that runs three scales
CONVS = (("reduce", 1), ("conv3x3", 2), ("increase", 3))

TABLE = (
    Rule(BASE + r"layer1\.conv1\.conv\.(.*)", r"backbone.conv1.\1"),
    Rule(BASE + r"layer1\.conv1\.bn\.(.*)", r"backbone.bn1.\1"),
    # Its stages count from 2 and its blocks from 1.
    *(
        Rule(
            BASE + rf"layer{stage + 1}\.block{block + 1}\.{old}\.(conv|bn)\.(.*)",
            rf"backbone.layer{stage}.{block}.\g<1>{new}.\2",
        )
        for stage, blocks in enumerate(BLOCKS[101], start=1)
        for block in range(blocks)
        for old, new in CONVS
    ),
    *(
        Rule(
            BASE + rf"layer{stage + 1}\.block1\.shortcut\.{old}\.(.*)",
            rf"backbone.layer{stage}.0.downsample.{new}.\1",
        )
        for stage in (1, 2, 3, 4)
        for old, new in (("conv", 0), ("bn", 1))
    ),
    Rule(BASE + r"aspp\.c([0-3])\.(.*)", r"classifiers.\1.\2"),
)


def detect(tensors: Mapping[str, Tensor]) -> Match | None:
    """See :class:`Source`."""
    base = "base." if "base.layer1.conv1.conv.weight" in tensors else ""
    if f"{base}layer1.conv1.conv.weight" not in tensors:
        return None
    if f"{base}aspp.c0.weight" not in tensors:
        raise WeightsError(
            f"{base}layer1.conv1.conv but no {base}aspp.c0: a network of "
            "kazuto1011/deeplab-pytorch which this package does not build, or half a checkpoint; "
            "expected its DeepLab v2"
        )
    backbone = resnet_name(tensors, f"{base}layer4", NAME)
    return Match(
        architecture="deeplabv2",
        options={
            "backbone": backbone,
            "output_stride": 8,
            "backbone_options": {
                "first_block_dilation": "own",
                "stride_on": "1x1",
                "ceil_pool": True,
            },
            "rates": [6, 12, 18, 24],
        },
        why=f"{base}layer1.conv1 and {base}aspp.c0 as in kazuto1011/deeplab-pytorch's DeepLab v2",
        num_classes=class_count(tensors, f"{base}aspp.c0.weight", NAME),
        table=TABLE,
        assumed={
            "rates": "6, 12, 18, 24, as its published files have it; others have the same keys"
        },
        # Its means are (104.008, 116.669, 122.675) of BGR images in 0–255, without a deviation.
        mean=(122.675 / 255, 116.669 / 255, 104.008 / 255),
        std=(1 / 255, 1 / 255, 1 / 255),
        channel_order="bgr",
    )


SOURCE = Source(NAME, "kazuto1011/deeplab-pytorch: DeepLab v2 on ResNet-101", detect)
