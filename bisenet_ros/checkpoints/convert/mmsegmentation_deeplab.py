"""mmsegmentation: PSPNet, DeepLab v3 and v3+ on ResNet-50 and 101 (v1c, or with a 7×7 stem)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from bisenet_ros.checkpoints.convert.base import Match, Rule, same
from bisenet_ros.checkpoints.convert.shapes import class_count, resnet_name
from bisenet_ros.errors import WeightsError

NAME = "mmsegmentation"
CLASSIFIER = "decode_head.conv_seg.weight"

BACKBONE_AND_CLASSIFIERS = (
    same(r"backbone\..*"),
    Rule(r"decode_head\.conv_seg\.(.*)", r"classifier.\1"),
    Rule(r"auxiliary_head\.convs\.0\.(conv|bn)\.(.*)", r"aux_classifier.conv.\1.\2"),
    Rule(r"auxiliary_head\.conv_seg\.(.*)", r"aux_classifier.classifier.\1"),
)
PSPNET = (
    Rule(r"decode_head\.psp_modules\.([0-3])\.1\.(conv|bn)\.(.*)", r"pyramid.convs.\1.\2.\3"),
    Rule(r"decode_head\.bottleneck\.(conv|bn)\.(.*)", r"bottleneck.\1.\2"),
)
ASPP = (
    Rule(r"decode_head\.image_pool\.1\.(conv|bn)\.(.*)", r"aspp.pooling.embed.\1.\2"),
    Rule(r"decode_head\.aspp_modules\.([0-3])\.(conv|bn)\.(.*)", r"aspp.convs.\1.\2.\3"),
    Rule(r"decode_head\.bottleneck\.(conv|bn)\.(.*)", r"aspp.project.\1.\2"),
)
DECODER = (
    Rule(
        r"decode_head\.aspp_modules\.([1-3])\.(depthwise|pointwise)_conv\.(conv|bn)\.(.*)",
        r"aspp.convs.\1.\2.\3.\4",
    ),
    Rule(r"decode_head\.c1_bottleneck\.(conv|bn)\.(.*)", r"low_level.\1.\2"),
    Rule(
        r"decode_head\.sep_bottleneck\.([01])\.(depthwise|pointwise)_conv\.(conv|bn)\.(.*)",
        r"decoder.\1.\2.\3.\4",
    ),
)

OUTPUT_STRIDE = "8, as in its d8 configs; the d16 ones have the same keys"
ALIGN_CORNERS = "False, as in its 512×1024 configs; the 769×769 ones have True and the same keys"


def detect(tensors: Mapping[str, Tensor]) -> Match | None:
    """See :class:`~bisenet_ros.checkpoints.convert.base.Source`; None for its other networks."""
    pyramid = "decode_head.psp_modules.0.1.conv.weight" in tensors
    aspp = "decode_head.image_pool.1.conv.weight" in tensors
    if not pyramid and not aspp:
        return None
    classes = class_count(tensors, CLASSIFIER, NAME)
    options: dict[str, Any] = {
        "backbone": resnet_name(tensors, "backbone.layer3", NAME),
        "output_stride": 8,
        "backbone_options": {"stem_channels": _stem(tensors)},
        "width": _width(tensors),
    }
    assumed = {"output_stride": OUTPUT_STRIDE}
    head: tuple[Rule, ...]
    if pyramid:
        architecture, head, where = "pspnet", PSPNET, "psp_modules"
    else:
        options |= {"aspp_concatenation": "pooling_first", "projection_kernel": 3}
        architecture, head, where = "deeplabv3", ASPP, "image_pool and aspp_modules"
        if "decode_head.c1_bottleneck.conv.weight" in tensors:
            architecture, head = "deeplabv3plus", (*ASPP, *DECODER)
            where += " and c1_bottleneck"
        else:
            options["refine"] = False
    if architecture != "deeplabv3":  # which only enlarges a map of one pixel
        assumed["align_corners"] = ALIGN_CORNERS
        options["align_corners"] = False
    return Match(
        architecture=architecture,
        options=options,
        why=f"backbone.layer* and decode_head with {where} as in mmsegmentation's {architecture}",
        num_classes=classes,
        table=(*BACKBONE_AND_CLASSIFIERS, *head),
        assumed=assumed,
    )


def _width(tensors: Mapping[str, Tensor]) -> int:
    """Channels inside the head: what its bottleneck puts out."""
    weight = tensors.get("decode_head.bottleneck.conv.weight")
    if weight is None or weight.ndim != 4:
        raise WeightsError(
            f"looks like a checkpoint of {NAME} but has no decode_head.bottleneck.conv.weight of "
            "4 dimensions; expected the whole decode head: half of it is missing"
        )
    return weight.shape[0]


def _stem(tensors: Mapping[str, Tensor]) -> list[int]:
    """Channels of the stem's convolutions: three in v1c, one with a 7×7 stem."""
    if "backbone.conv1.weight" in tensors:
        return [tensors["backbone.conv1.weight"].shape[0]]
    keys = [f"backbone.stem.{i}.weight" for i in (0, 3, 6)]
    if missing := [key for key in keys if key not in tensors]:
        raise WeightsError(
            f"looks like a checkpoint of {NAME} but has no {missing[0]}; expected a ResNet with a "
            "deep stem (v1c) or backbone.conv1: another backbone, or half a checkpoint"
        )
    return [tensors[key].shape[0] for key in keys]
