"""Every network there is, by name. A new one takes a class, its config and an entry here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bisenet_ros.networks.base import SegmentationNetwork
from bisenet_ros.networks.bisenetv2 import (
    BiSeNetV2,
    BiSeNetV2Config,
    BiSeNetV2Large,
    BiSeNetV2LargeConfig,
)


@dataclass(frozen=True)
class NetworkSpec:
    """One network.

    Attributes:
        network: its class, built from ``config``; its ``architecture`` is its name here.
        config: a frozen dataclass of plain values, ``num_classes`` first.
        help: one line for people who choose.
    """

    network: type[SegmentationNetwork]
    config: type
    help: str


NETWORKS = {
    spec.network.architecture: spec
    for spec in (
        NetworkSpec(BiSeNetV2, BiSeNetV2Config, "two branches, guided aggregation; the default"),
        NetworkSpec(BiSeNetV2Large, BiSeNetV2LargeConfig, "BiSeNetV2, twice as wide and deeper"),
    )
}


def build(name: str, num_classes: int, **options: Any) -> SegmentationNetwork:
    """An initialised network in training mode.

    Args:
        name: a key of ``NETWORKS``.
        num_classes: channels of the logits.
        options: other fields of the network's config.

    Raises:
        ValueError: there is no such network or option, or a value is out of range.
    """
    if name not in NETWORKS:
        raise ValueError(f"network is {name!r}; expected one of {', '.join(NETWORKS)}")
    spec = NETWORKS[name]
    try:
        config = spec.config(num_classes, **options)
    except TypeError as error:
        raise ValueError(f"{name} does not take these options: {error}") from error
    return spec.network(config)
