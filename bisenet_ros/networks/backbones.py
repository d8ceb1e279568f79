"""Which backbones the dilated networks may be built on, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bisenet_ros.networks.checks import MAX_CLASSES, check_choices, check_whole_numbers
from bisenet_ros.networks.features import Backbone
from bisenet_ros.networks.mobilenetv2 import MobileNetV2, MobileNetV2Config
from bisenet_ros.networks.resnet import ResNet, ResNetConfig
from bisenet_ros.networks.xception import Xception, XceptionConfig


@dataclass(frozen=True)
class BackboneSpec:
    """One backbone.

    Attributes:
        backbone: its class; images to :class:`~bisenet_ros.networks.features.Features`.
        config: the config class it is built from.
        fixed: fields of the config that the name stands for.
    """

    backbone: Callable[[Any], Backbone]
    config: Callable[..., Any]
    fixed: Mapping[str, Any] = field(default_factory=dict)


BACKBONES = {
    "resnet50": BackboneSpec(ResNet, ResNetConfig, {"depth": 50}),
    "resnet101": BackboneSpec(ResNet, ResNetConfig, {"depth": 101}),
    "xception": BackboneSpec(Xception, XceptionConfig),
    "mobilenetv2": BackboneSpec(MobileNetV2, MobileNetV2Config),
}


def build_backbone(name: str, output_stride: int, options: Mapping[str, Any]) -> Backbone:
    """An initialised backbone.

    Args:
        name: a key of ``BACKBONES``.
        output_stride: input pixels per pixel of its last map.
        options: further fields of its config.

    Raises:
        ValueError: there is no such option, or a value is out of range.
    """
    spec = BACKBONES[name]
    return spec.backbone(backbone_config(name, output_stride, options))


def backbone_config(name: str, output_stride: int, options: Mapping[str, Any]) -> Any:
    """The backbone's config; see :func:`build_backbone`."""
    spec = BACKBONES[name]
    given = {**spec.fixed, "output_stride": output_stride}
    if not isinstance(options, Mapping) or given.keys() & options.keys():
        raise ValueError(
            f"backbone_options is {options!r}; expected a mapping of fields of "
            f"{spec.config.__name__} other than {', '.join(given)}"
        )
    try:
        return spec.config(**given, **options)
    except TypeError as error:
        raise ValueError(f"{name} does not take backbone_options {options!r}: {error}") from error


def check_network(config: Any, backbones: tuple[str, ...] = tuple(BACKBONES)) -> None:
    """Check the fields that all dilated networks have: classes, backbone and its options."""
    check_whole_numbers(config, num_classes=MAX_CLASSES)
    check_choices(config, auxiliary=(False, True), backbone=backbones, output_stride=(8, 16))
    backbone_config(config.backbone, config.output_stride, config.backbone_options)
