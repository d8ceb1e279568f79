"""torchvision: DeepLab v3 on ResNet-50 and 101, and classifiers whose body serves as a backbone."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from bisenet_ros.checkpoints.convert.base import Match, Rule, Source, same
from bisenet_ros.checkpoints.convert.shapes import class_count, count_children, resnet_name
from bisenet_ros.errors import WeightsError

NAME = "torchvision"
CLASSIFIER = "classifier.4.weight"
# By the blocks of the third stage, and whether they have three convolutions.
RESNETS = {(2, False): "resnet18", (6, True): "resnet50", (23, True): "resnet101"}
BACKBONES = (*RESNETS.values(), "mobilenetv2")  # whose classifiers torchvision has


def aspp_rules(prefix: str) -> tuple[Rule, ...]:
    """Atrous pyramid pooling; ``prefix`` is a regular expression of the module's name."""
    return (
        Rule(prefix + r"\.convs\.([0-3])\.0\.(.*)", r"aspp.convs.\1.conv.\2"),
        Rule(prefix + r"\.convs\.([0-3])\.1\.(.*)", r"aspp.convs.\1.bn.\2"),
        Rule(prefix + r"\.convs\.4\.1\.(.*)", r"aspp.pooling.embed.conv.\1"),
        Rule(prefix + r"\.convs\.4\.2\.(.*)", r"aspp.pooling.embed.bn.\1"),
        Rule(prefix + r"\.project\.0\.(.*)", r"aspp.project.conv.\1"),
        Rule(prefix + r"\.project\.1\.(.*)", r"aspp.project.bn.\1"),
    )


def sequential_rules(prefix: str, module: str) -> tuple[Rule, ...]:
    """Convolution 0, batch norm 1, ReLU 2, dropout 3, classifier 4: an auxiliary head.

    ``prefix`` is a regular expression of the source's name, ``module`` ours.
    """
    return (
        Rule(prefix + r"\.0\.(.*)", module + r".conv.conv.\1"),
        Rule(prefix + r"\.1\.(.*)", module + r".conv.bn.\1"),
        Rule(prefix + r"\.4\.(.*)", module + r".classifier.\1"),
    )


TABLE = (
    same(r"backbone\..*"),
    *aspp_rules(r"classifier\.0"),
    Rule(r"classifier\.1\.(.*)", r"refine.conv.\1"),
    Rule(r"classifier\.2\.(.*)", r"refine.bn.\1"),
    Rule(r"classifier\.4\.(.*)", r"classifier.\1"),
    *sequential_rules(r"aux_classifier", "aux_classifier"),
)


def detect(tensors: Mapping[str, Tensor]) -> Match | None:
    """See :class:`Source`."""
    if (
        CLASSIFIER in tensors
        and "classifier.0.weight" in tensors
        and "backbone.conv1.weight" in tensors
    ):
        raise WeightsError(
            "classifier.0.weight is a convolution: this is torchvision's FCN, which this package "
            "does not build; expected its deeplabv3_resnet50 or deeplabv3_resnet101"
        )
    backbone_only = detect_backbone(tensors)
    if backbone_only is not None:
        raise WeightsError(
            f"{backbone_only.why}: it classifies whole images; expected a segmentation network: "
            "give it to training as backbone_weights"
        )
    if "classifier.0.convs.0.0.weight" not in tensors:
        return None
    if "backbone.0.0.weight" in tensors:
        raise WeightsError(
            "backbone.0.0.weight: this is torchvision's DeepLab v3 on MobileNetV3, which this "
            "package does not build; expected deeplabv3_resnet50 or deeplabv3_resnet101"
        )
    backbone = resnet_name(tensors, "backbone.layer3", NAME)
    return Match(
        architecture="deeplabv3",
        options={"backbone": backbone, "output_stride": 8},
        why=f"classifier.0.convs and backbone.layer* as in torchvision's deeplabv3_{backbone}",
        num_classes=class_count(tensors, CLASSIFIER, NAME),
        table=TABLE,
    )


def detect_backbone(tensors: Mapping[str, Tensor]) -> Match | None:
    """A classifier of whole images, whose body can start a backbone of this package.

    The match's ``architecture`` is the backbone's name and its table leads to the backbone's own
    names; ``num_classes`` is that of the classifier, 0 if there is none.
    """
    if "conv1.weight" in tensors and "layer1.0.conv1.weight" in tensors:
        blocks = count_children(tensors, "layer3")
        name = RESNETS.get((blocks, "layer1.0.conv3.weight" in tensors))
        if name is None:
            return None
        table, classifier = (same(r"(?:conv1|bn1|layer[1-4])\..*"),), "fc.weight"
        dropped: tuple[str, ...] = (r"fc\..*",)
        why = f"conv1, layer1–4 with {blocks} blocks in layer3 as in torchvision's {name}"
    elif "features.18.0.weight" in tensors and "features.1.conv.0.0.weight" in tensors:
        name, table = "mobilenetv2", (same(r"features\.(?:\d|1[0-7])\..*"),)
        classifier, dropped = "classifier.1.weight", (r"features\.18\..*", r"classifier\..*")
        why = "features.0–18 as in torchvision's mobilenet_v2"
    else:
        return None
    last = tensors.get(classifier)
    return Match(
        architecture=name,
        options={},
        why=why,
        num_classes=0 if last is None or not last.ndim else last.shape[0],
        table=table,
        dropped=dropped,
    )


SOURCE = Source(NAME, "torchvision's deeplabv3_resnet50 and deeplabv3_resnet101", detect)
