"""VainF/DeepLabV3Plus-Pytorch: DeepLab v3 and v3+ on ResNet, MobileNetV2 and Xception."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from bisenet_ros.checkpoints.convert.base import Match, Rule, Source, same
from bisenet_ros.checkpoints.convert.shapes import class_count, resnet_name
from bisenet_ros.checkpoints.convert.torchvision import aspp_rules
from bisenet_ros.errors import WeightsError

NAME = "vainf"

V3_HEAD = (
    *aspp_rules(r"classifier\.classifier\.0"),
    Rule(r"classifier\.classifier\.1\.(.*)", r"refine.conv.\1"),
    Rule(r"classifier\.classifier\.2\.(.*)", r"refine.bn.\1"),
    Rule(r"classifier\.classifier\.4\.(.*)", r"classifier.\1"),
)
V3PLUS_HEAD = (
    *aspp_rules(r"classifier\.aspp"),
    Rule(r"classifier\.project\.0\.(.*)", r"low_level.conv.\1"),
    Rule(r"classifier\.project\.1\.(.*)", r"low_level.bn.\1"),
    Rule(r"classifier\.classifier\.0\.(.*)", r"decoder.0.conv.\1"),
    Rule(r"classifier\.classifier\.1\.(.*)", r"decoder.0.bn.\1"),
    Rule(r"classifier\.classifier\.3\.(.*)", r"classifier.\1"),
)
V3PLUS_OPTIONS = {
    "separable": False,
    "decoder_layers": 1,
    "decoder_concatenation": "low_level_first",
}

RESNET = (same(r"backbone\..*"),)
# The numbers of the second part go on where those of the first end.
MOBILENET = (Rule(r"backbone\.(?:low|high)_level_features\.(.*)", r"backbone.features.\1"),)


def _block_rules(
    old: str, new: str, first: int, convs: int, shortcut: bool = True
) -> tuple[Rule, ...]:
    """A block's convolutions, each behind a ReLU and before a batch norm, and its shortcut."""
    rules = []
    if shortcut:
        rules += [
            Rule(rf"backbone\.{old}\.skip\.(.*)", rf"backbone.{new}.shortcut.0.\1"),
            Rule(rf"backbone\.{old}\.skipbn\.(.*)", rf"backbone.{new}.shortcut.1.\1"),
        ]
    for i in range(convs):
        at, ours = first + 3 * i, rf"backbone.{new}.convs.{i}"
        rules += [
            Rule(rf"backbone\.{old}\.rep\.{at}\.conv1\.(.*)", rf"{ours}.depthwise.\1"),
            Rule(rf"backbone\.{old}\.rep\.{at}\.pointwise\.(.*)", rf"{ours}.pointwise.\1"),
            Rule(rf"backbone\.{old}\.rep\.{at + 1}\.(.*)", rf"{ours}.bn.\1"),
        ]
    return tuple(rules)


XCEPTION = (
    same(r"backbone\.(?:conv1|bn1|conv2|bn2)\.[a-z_]+"),
    *_block_rules("block1", "block1", first=0, convs=2),  # no ReLU before its first convolution
    *_block_rules("block2", "block2", first=1, convs=2),
    *_block_rules("block3", "block3", first=1, convs=2),
    *(
        rule
        for i in range(8)
        for rule in _block_rules(f"block{i + 4}", f"middle.{i}", 1, convs=3, shortcut=False)
    ),
    *_block_rules("block12", "exit", first=1, convs=2),
    Rule(r"backbone\.conv3\.conv1\.(.*)", r"backbone.last.0.depthwise.\1"),
    Rule(r"backbone\.conv3\.pointwise\.(.*)", r"backbone.last.0.pointwise.\1"),
    Rule(r"backbone\.bn3\.(.*)", r"backbone.last.0.bn.\1"),
    Rule(r"backbone\.conv4\.conv1\.(.*)", r"backbone.last.1.depthwise.\1"),
    Rule(r"backbone\.conv4\.pointwise\.(.*)", r"backbone.last.1.pointwise.\1"),
)


def detect(tensors: Mapping[str, Tensor]) -> Match | None:
    """See :class:`Source`."""
    if any(key.startswith("classifier.") and ".body." in key for key in tensors):
        raise WeightsError(
            "classifier keys with .body.: VainF's network trained with --separable_conv, which "
            "this package does not build; expected one trained without"
        )
    if "classifier.aspp.convs.0.0.weight" in tensors:
        architecture, head, last = "deeplabv3plus", V3PLUS_HEAD, "classifier.classifier.3.weight"
        where, extra = "classifier.aspp", V3PLUS_OPTIONS
    elif "classifier.classifier.0.convs.0.0.weight" in tensors:
        architecture, head, last = "deeplabv3", V3_HEAD, "classifier.classifier.4.weight"
        where, extra = "classifier.classifier.0.convs", {}
    else:
        return None
    backbone, options, table = _backbone(tensors)
    return Match(
        architecture=architecture,
        options={"backbone": backbone, "output_stride": 16, "backbone_options": options, **extra},
        why=f"{where} and the backbone's names as in VainF/DeepLabV3Plus-Pytorch's {backbone}",
        num_classes=class_count(tensors, last, NAME),
        table=(*table, *head),
        assumed={"output_stride": "16, as its published files have it; 8 has the same keys"},
    )


def _backbone(tensors: Mapping[str, Tensor]) -> tuple[str, dict[str, Any], tuple[Rule, ...]]:
    """Its name, its options and its table."""
    if "backbone.low_level_features.0.0.weight" in tensors:
        return "mobilenetv2", {"padding": "block_input"}, MOBILENET
    if "backbone.block1.rep.0.conv1.weight" in tensors:
        return "xception", {"variant": "original"}, XCEPTION
    if any(key.startswith("backbone.stage4.") for key in tensors):
        raise WeightsError(
            "backbone.stage4: VainF's network on HRNet, which this package does not build; "
            "expected a ResNet, MobileNetV2 or Xception"
        )
    return resnet_name(tensors, "backbone.layer3", NAME), {}, RESNET


SOURCE = Source(NAME, "VainF/DeepLabV3Plus-Pytorch: DeepLab v3 and v3+", detect)
