"""hszhao/semseg: PSPNet on ResNet-50 and 101."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from bisenet_ros.checkpoints.convert.base import Match, Rule, Source
from bisenet_ros.checkpoints.convert.shapes import class_count, resnet_name
from bisenet_ros.checkpoints.convert.torchvision import sequential_rules
from bisenet_ros.errors import WeightsError

NAME = "semseg"

TABLE = (
    Rule(r"layer0\.([0-7])\.(.*)", r"backbone.stem.\1.\2"),
    Rule(r"(layer[1-4]\..*)", r"backbone.\1"),
    Rule(r"ppm\.features\.([0-3])\.1\.(.*)", r"pyramid.convs.\1.conv.\2"),
    Rule(r"ppm\.features\.([0-3])\.2\.(.*)", r"pyramid.convs.\1.bn.\2"),
    Rule(r"cls\.0\.(.*)", r"bottleneck.conv.\1"),
    Rule(r"cls\.1\.(.*)", r"bottleneck.bn.\1"),
    Rule(r"cls\.4\.(.*)", r"classifier.\1"),
    *sequential_rules(r"aux", "aux_classifier"),
)


def detect(tensors: Mapping[str, Tensor]) -> Match | None:
    """See :class:`Source`."""
    if "layer0.0.weight" not in tensors:
        return None
    if any(key.startswith("psa.") for key in tensors):
        raise WeightsError(
            "psa.*: semseg's PSANet, which this package does not build; expected its PSPNet"
        )
    if "ppm.features.0.1.weight" not in tensors:
        return None
    backbone = resnet_name(tensors, "layer3", NAME)
    return Match(
        architecture="pspnet",
        options={
            "backbone": backbone,
            "output_stride": 8,
            "backbone_options": {
                "stem_channels": [64, 64, 128],
                "first_block_dilation": "own",
            },
            "align_corners": True,
        },
        why=f"layer0 (deep stem), ppm.features and cls as in hszhao/semseg's PSPNet on {backbone}",
        num_classes=class_count(tensors, "cls.4.weight", NAME),
        table=TABLE,
    )


SOURCE = Source(NAME, "hszhao/semseg: PSPNet", detect)
