"""All networks by name. A new one needs a class, its config and an entry here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bisenet_ros.networks.base import SegmentationNetwork
from bisenet_ros.networks.bisenetv1 import BiSeNetV1, BiSeNetV1Config
from bisenet_ros.networks.bisenetv2 import (
    BiSeNetV2,
    BiSeNetV2Config,
    BiSeNetV2Large,
    BiSeNetV2LargeConfig,
)
from bisenet_ros.networks.deeplabv2 import DeepLabV2, DeepLabV2Config
from bisenet_ros.networks.deeplabv3 import DeepLabV3, DeepLabV3Config
from bisenet_ros.networks.deeplabv3plus import DeepLabV3Plus, DeepLabV3PlusConfig
from bisenet_ros.networks.pspnet import PSPNet, PSPNetConfig


@dataclass(frozen=True)
class NetworkSpec:
    """One network.

    Attributes:
        network: its class, built from ``config``; its ``architecture`` is its name here.
        config: a frozen dataclass of plain values, ``num_classes`` first.
        help: one line that helps users choose.
        backbones: what its option ``backbone`` may be, the default first; empty if it has none.
        strides: the values of its option ``output_stride``.
    """

    network: type[SegmentationNetwork]
    config: type
    help: str
    backbones: tuple[str, ...] = ()
    strides: tuple[int, ...] = ()


DILATED = ("resnet50", "resnet101")
NETWORKS = {
    spec.network.architecture: spec
    for spec in (
        NetworkSpec(BiSeNetV2, BiSeNetV2Config, "two branches, guided aggregation; the default"),
        NetworkSpec(BiSeNetV2Large, BiSeNetV2LargeConfig, "BiSeNetV2, twice as wide and deeper"),
        NetworkSpec(
            BiSeNetV1,
            BiSeNetV1Config,
            "a spatial path beside a ResNet with attention",
            ("resnet18", "resnet50"),
        ),
        NetworkSpec(
            DeepLabV2,
            DeepLabV2Config,
            "dilated ResNet-101, four summed classifiers",
            ("resnet101", "resnet50"),
            (8, 16),
        ),
        NetworkSpec(
            DeepLabV3,
            DeepLabV3Config,
            "dilated backbone, atrous pyramid pooling",
            (*DILATED, "xception", "mobilenetv2"),
            (16, 8),
        ),
        NetworkSpec(
            DeepLabV3Plus,
            DeepLabV3PlusConfig,
            "DeepLab v3 and a decoder at 1/4",
            (*DILATED, "xception", "mobilenetv2"),
            (16, 8),
        ),
        NetworkSpec(PSPNet, PSPNetConfig, "dilated ResNet, pyramid pooling", DILATED, (8, 16)),
    )
}
BACKBONES = tuple(dict.fromkeys(name for spec in NETWORKS.values() for name in spec.backbones))


def build(name: str, num_classes: int, **options: Any) -> SegmentationNetwork:
    """An initialised network in training mode.

    Args:
        name: a key of ``NETWORKS``.
        num_classes: channels of the logits.
        options: other fields of the network's config.

    Raises:
        ValueError: the network or an option is unknown, or a value is out of range.
    """
    config = build_config(name, num_classes, **options)
    return NETWORKS[name].network(config)


def build_config(name: str, num_classes: int, **options: Any) -> Any:
    """The config of a network; arguments and errors as for :func:`build`."""
    if name not in NETWORKS:
        raise ValueError(f"network is {name!r}; expected one of {', '.join(NETWORKS)}")
    try:
        return NETWORKS[name].config(num_classes, **options)
    except TypeError as error:
        raise ValueError(f"{name} does not accept these options: {error}") from error
