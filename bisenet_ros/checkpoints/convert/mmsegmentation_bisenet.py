"""mmsegmentation: BiSeNetV2 and BiSeNetV1 (github.com/open-mmlab/mmsegmentation, 0.x and 1.x)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from bisenet_ros.checkpoints.convert.base import Match, Rule
from bisenet_ros.checkpoints.convert.coincheung import NORM
from bisenet_ros.checkpoints.convert.keys import has_prefix, size

TAIL = rf"(conv\.weight|bn\.{NORM})"  # of a ConvModule, and of a ConvBNReLU here
CLASSIFIER = "decode_head.conv_seg.weight"
HEAD = r"decode_head\.convs\.0\."


def _module(theirs: str, ours: str) -> Rule:
    """A convolution, norm and ReLU, which are called the same inside."""
    return Rule(rf"{theirs}\.{TAIL}", rf"{ours}.\{_groups(theirs) + 1}")


def _pair(theirs: str, ours: str, first: int = 0) -> tuple[Rule, Rule]:
    """A convolution and norm, which are two layers of an ``nn.Sequential`` here."""
    last = _groups(theirs) + 1
    return (
        Rule(rf"{theirs}\.conv\.(weight|bias)", rf"{ours}.{first}.\{last}"),
        Rule(rf"{theirs}\.bn\.({NORM})", rf"{ours}.{first + 1}.\{last}"),
    )


def _groups(pattern: str) -> int:
    return pattern.count("(") - pattern.count("(?:")


def _stage(theirs: str, ours: str) -> tuple[Rule, ...]:
    """The gather-and-expansion layers of a stage; the first has stride 2 and a shortcut."""
    theirs, ours = rf"backbone\.semantic\.{theirs}", f"segment.{ours}"
    return (
        _module(rf"{theirs}\.(\d+)\.conv1", rf"{ours}.\1.conv1"),
        *_pair(rf"{theirs}\.0\.dwconv\.0", f"{ours}.0.dwconv1"),
        *_pair(rf"{theirs}\.0\.dwconv\.1", f"{ours}.0.dwconv2"),
        *_pair(rf"{theirs}\.([1-9]\d*)\.dwconv\.0", rf"{ours}.\1.dwconv"),
        *_pair(rf"{theirs}\.(\d+)\.conv2\.0", rf"{ours}.\1.conv2"),
        *_pair(rf"{theirs}\.0\.shortcut\.0\.depthwise_conv", f"{ours}.0.shortcut"),
        *_pair(rf"{theirs}\.0\.shortcut\.0\.pointwise_conv", f"{ours}.0.shortcut", first=2),
    )


V2_TABLE = (
    _module(r"backbone\.detail\.detail_branch\.0\.(\d)", r"detail.S1.\1"),
    _module(r"backbone\.detail\.detail_branch\.1\.(\d)", r"detail.S2.\1"),
    _module(r"backbone\.detail\.detail_branch\.2\.(\d)", r"detail.S3.\1"),
    _module(r"backbone\.semantic\.stage1\.conv_first", "segment.S1S2.conv"),
    _module(r"backbone\.semantic\.stage1\.convs\.([01])", r"segment.S1S2.left.\1"),
    _module(r"backbone\.semantic\.stage1\.fuse_last", "segment.S1S2.fuse"),
    *_stage("stage2", "S3"),
    *_stage("stage3", "S4"),
    *_stage("stage4", "S5_4"),
    Rule(rf"backbone\.semantic\.stage4_CEBlock\.gap\.1\.({NORM})", r"segment.S5_5.bn.\1"),
    _module(r"backbone\.semantic\.stage4_CEBlock\.(conv_gap|conv_last)", r"segment.S5_5.\1"),
    *_pair(r"backbone\.bga\.detail_dwconv\.0\.depthwise_conv", "bga.left1"),
    *_pair(r"backbone\.bga\.detail_dwconv\.0\.pointwise_conv", "bga.left1", first=2),
    *_pair(r"backbone\.bga\.detail_down\.0", "bga.left2"),
    *_pair(r"backbone\.bga\.semantic_conv\.0", "bga.right1"),
    *_pair(r"backbone\.bga\.semantic_dwconv\.0\.depthwise_conv", "bga.right2"),
    *_pair(r"backbone\.bga\.semantic_dwconv\.0\.pointwise_conv", "bga.right2", first=2),
    *_pair(r"backbone\.bga\.conv", "bga.conv"),
    _module(HEAD[:-2], "head.conv"),
    Rule(r"decode_head\.conv_seg\.(weight|bias)", r"head.conv_out.1.\1"),
)

CONTEXT = r"backbone\.context_path"
V1_TABLE = (
    Rule(rf"{CONTEXT}\.backbone\.(conv1\.weight|bn1\.{NORM}|layer[1-4]\.\d+\..+)", r"cp.resnet.\1"),
    _module(rf"{CONTEXT}\.(arm16|arm32)\.conv_layer", r"cp.\1.conv"),
    Rule(
        rf"{CONTEXT}\.(arm16|arm32)\.atten_conv_layer\.1\.conv\.weight", r"cp.\1.conv_atten.weight"
    ),
    Rule(rf"{CONTEXT}\.(arm16|arm32)\.atten_conv_layer\.1\.bn\.({NORM})", r"cp.\1.bn_atten.\2"),
    _module(rf"{CONTEXT}\.(conv_head32|conv_head16)", r"cp.\1"),
    _module(rf"{CONTEXT}\.gap_conv\.1", "cp.conv_avg"),
    _module(r"backbone\.spatial_path\.layer([123])", r"sp.conv\1"),
    _module(r"backbone\.spatial_path\.layer4", "sp.conv_out"),
    _module(r"backbone\.ffm\.conv1", "ffm.convblk"),
    Rule(r"backbone\.ffm\.conv_atten\.0\.conv\.weight", "ffm.conv.weight"),
    Rule(rf"backbone\.ffm\.conv_atten\.0\.bn\.({NORM})", r"ffm.bn.\1"),
    _module(HEAD[:-2], "conv_out.conv"),
    Rule(r"decode_head\.conv_seg\.(weight|bias)", r"conv_out.conv_out.\1"),
    _module(r"auxiliary_head\.0\.convs\.0", "conv_out16.conv"),
    Rule(r"auxiliary_head\.0\.conv_seg\.(weight|bias)", r"conv_out16.conv_out.\1"),
    _module(r"auxiliary_head\.1\.convs\.0", "conv_out32.conv"),
    Rule(r"auxiliary_head\.1\.conv_seg\.(weight|bias)", r"conv_out32.conv_out.\1"),
)


def detect(tensors: Mapping[str, Tensor]) -> Match | None:
    """BiSeNetV2 or BiSeNetV1; see :class:`Source`."""
    if has_prefix(tensors, "backbone.detail.detail_branch.", "backbone.semantic.stage"):
        return _bisenetv2(tensors)
    if has_prefix(tensors, "backbone.context_path.", "backbone.spatial_path."):
        return _bisenetv1(tensors)
    return None


def _bisenetv2(tensors: Mapping[str, Tensor]) -> Match:
    head = size(tensors, "decode_head.convs.0.conv.weight")
    return Match(
        architecture="bisenetv2",
        options={
            "aggregation": "bilinear",
            "aggregation_bias": True,
            **({"head_width": head} if head else {}),
        },
        why="backbone.detail.detail_branch.*: BiSeNetV2 of mmsegmentation",
        num_classes=size(tensors, CLASSIFIER),
        table=V2_TABLE,
        assumed={"aggregation": "bilinear, align_corners False, as in the published configs"},
        dropped=(r"auxiliary_head\..*",),
    )


def _bisenetv1(tensors: Mapping[str, Tensor]) -> Match:
    stem = size(tensors, "backbone.context_path.backbone.conv1.weight")
    channels = size(tensors, "backbone.spatial_path.layer4.conv.weight")
    deep = "backbone.context_path.backbone.layer1.0.conv3.weight" in tensors
    options: dict[str, Any] = {"backbone": "resnet50" if deep else "resnet18"}
    options |= {"backbone_width": stem / 64} if stem else {}
    options |= {"channels": channels} if channels else {}
    return Match(
        architecture="bisenetv1",
        options={**options, "fusion": "conv_bn_relu"},
        why=f"backbone.context_path.*, layer1.0.conv{3 if deep else 2}: BiSeNetV1 with a "
        f"{'ResNet-50' if deep else 'ResNet-18'} of mmsegmentation",
        num_classes=size(tensors, CLASSIFIER),
        table=V1_TABLE,
    )
