"""CoinCheung/BiSeNet: BiSeNetV2 and BiSeNetV1 (github.com/CoinCheung/BiSeNet).

The tables name every key there is, so that a fork's additions are seen. Keys are called the same
here but for the plain heads of 2020, which sit in an ``nn.Sequential`` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from bisenet_ros.checkpoints.convert.base import Match, Rule, Source, same
from bisenet_ros.checkpoints.convert.keys import has_prefix, size
from bisenet_ros.errors import WeightsError

NORM = r"(?:weight|bias|running_mean|running_var|num_batches_tracked)"
CONV_NORM = rf"(?:conv\.weight|bn\.{NORM})"  # of a ConvBNReLU
PAIRS = rf"(?:[02]\.weight|[13]\.{NORM})"  # of convolutions and norms in turn in a Sequential

V2_TABLE = (
    same(rf"detail\.S[123]\.\d\.{CONV_NORM}"),
    same(rf"segment\.S1S2\.(?:conv|left\.[01]|fuse)\.{CONV_NORM}"),
    same(rf"segment\.(?:S3|S4|S5_4)\.\d+\.conv1\.{CONV_NORM}"),
    same(rf"segment\.(?:S3|S4|S5_4)\.\d+\.(?:dwconv[12]?|conv2|shortcut)\.{PAIRS}"),
    same(rf"segment\.S5_5\.(?:bn\.{NORM}|conv_(?:gap|last)\.{CONV_NORM})"),
    same(rf"bga\.(?:left[12]|right[12]|conv)\.{PAIRS}"),
    same(rf"(?:head|aux2|aux3|aux4|aux5_4)\.conv\.{CONV_NORM}"),
)
V2_EXPANDED: tuple[Rule, ...] = (
    same(rf"aux(?:2|3|4|5_4)\.conv_out\.0\.1\.{CONV_NORM}"),
    same(r"(?:head|aux2|aux3|aux4|aux5_4)\.conv_out\.1\.(?:weight|bias)"),
)
V2_PLAIN: tuple[Rule, ...] = (
    Rule(r"(head|aux2|aux3|aux4|aux5_4)\.conv_out\.(weight|bias)", r"\1.conv_out.1.\2"),
)

BLOCK = rf"(?:conv[12]\.weight|bn[12]\.{NORM}|downsample\.(?:0\.weight|1\.{NORM}))"
V1_TABLE = (
    same(rf"cp\.resnet\.(?:conv1\.weight|bn1\.{NORM}|layer[1-4]\.\d\.{BLOCK})"),
    same(rf"cp\.arm(?:16|32)\.(?:conv\.{CONV_NORM}|conv_atten\.weight|bn_atten\.{NORM})"),
    same(rf"cp\.conv_(?:head32|head16|avg)\.{CONV_NORM}"),
    same(rf"sp\.(?:conv[123]|conv_out)\.{CONV_NORM}"),
    same(rf"ffm\.(?:convblk\.{CONV_NORM}|conv\.weight|bn\.{NORM}|conv[12]\.weight)"),
    same(rf"conv_out(?:|16|32)\.(?:conv\.{CONV_NORM}|conv_out\.(?:weight|bias))"),
)

PIXEL_SHUFFLE = (
    "{found}: this is CoinCheung's {network} with the pixel-shuffle head of September 2020 to July "
    "2021, which this package does not build; expected the head before or after it: train again, "
    "or convert the published weights"
)


def detect(tensors: Mapping[str, Tensor]) -> Match | None:
    """BiSeNetV2 of two generations, or BiSeNetV1; see :class:`Source`."""
    if has_prefix(tensors, "detail.S", "segment.S", "bga."):
        return _bisenetv2(tensors)
    if has_prefix(tensors, "cp.arm", "cp.resnet", "cp.conv_avg"):
        return _bisenetv1(tensors)
    return None


def _bisenetv2(tensors: Mapping[str, Tensor]) -> Match:
    shuffled = size(tensors, "head.conv_out.0.weight")
    if shuffled:
        found = f"head.conv_out.0.weight has {shuffled} channels"
        raise WeightsError(PIXEL_SHUFFLE.format(found=found, network="BiSeNetV2"))
    plain = "head.conv_out.weight" in tensors or "aux2.conv_out.weight" in tensors
    options: dict[str, Any] = {"aggregation": "bilinear_aligned" if plain else "nearest"}
    head, auxiliary = size(tensors, "head.conv.conv.weight"), size(tensors, "aux2.conv.conv.weight")
    if plain and head == 256:
        raise WeightsError(
            "head.conv.conv.weight has 256 channels: this is CoinCheung's BiSeNetV2 of its first "
            "week in May 2020, without the ReLUs behind depthwise convolutions, which this package "
            "does not build; expected 1024 channels: convert the published weights"
        )
    options |= {"head_width": head} if head else {}
    options |= {"auxiliary_width": auxiliary} if auxiliary else {}
    if plain:
        options["auxiliary_head"] = "plain"
        why = "head.conv_out.weight: BiSeNetV2 with the plain heads of May to September 2020"
        classifier, heads = "head.conv_out.weight", V2_PLAIN
    else:
        why = "head.conv_out.1.weight: BiSeNetV2 with the heads since July 2021"
        classifier, heads = "head.conv_out.1.weight", V2_EXPANDED
        if classifier not in tensors:
            why = "detail.*, segment.*: BiSeNetV2, without its head"
    return Match(
        architecture="bisenetv2",
        options=options,
        why=why,
        num_classes=size(tensors, classifier),
        table=(*V2_TABLE, *heads),
        mean=None,
        std=None,
    )


def _bisenetv1(tensors: Mapping[str, Tensor]) -> Match:
    final = "conv_out.conv_out.weight"
    classes = size(tensors, final)
    biased = "conv_out.conv_out.bias" in tensors
    has_mlp = "ffm.conv1.weight" in tensors
    # The head makes 8 × 8 pixels of each class's channels; only it had this fusion and a bias.
    if has_mlp and biased and classes and classes % 64 == 0:
        found = f"{final} has {classes} channels"
        raise WeightsError(PIXEL_SHUFFLE.format(found=found, network="BiSeNetV1"))
    if classes and not any(key.endswith("num_batches_tracked") for key in tensors):
        raise WeightsError(
            "no num_batches_tracked anywhere: this is CoinCheung's BiSeNet until August 2020, with "
            "in-place norms and leaky ReLU, which this package does not build; expected plain "
            "batch norms: convert the published weights"
        )
    options: dict[str, Any] = {
        "fusion": "mlp" if has_mlp else "conv_bn",
        "classifier_bias": biased or final not in tensors,
    }
    told = "ffm.conv1.weight" if has_mlp else "ffm.bn.weight"
    year = "until July 2021" if has_mlp else "since July 2021"
    return Match(
        architecture="bisenetv1",
        options=options,
        why=f"cp.*, {told}: BiSeNetV1 with the feature fusion {year}",
        num_classes=classes,
        table=V1_TABLE,
        mean=None,
        std=None,
    )


SOURCE = Source(
    name="coincheung",
    help="CoinCheung/BiSeNet: BiSeNetV1, BiSeNetV2 (since July 2021, or until September 2020)",
    detect=detect,
)
