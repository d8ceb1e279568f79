"""Networks: tensors in, logits out; no files, no images."""

from bisenet_ros.networks.base import SegmentationNetwork, TrainingOutput
from bisenet_ros.networks.bisenetv2 import BiSeNetV2, BiSeNetV2Config
from bisenet_ros.networks.layers import upsample
from bisenet_ros.networks.registry import (
    BACKBONES,
    NETWORKS,
    NetworkSpec,
    build,
    build_config,
)

__all__ = [
    "BACKBONES",
    "NETWORKS",
    "BiSeNetV2",
    "BiSeNetV2Config",
    "NetworkSpec",
    "SegmentationNetwork",
    "TrainingOutput",
    "build",
    "build_config",
    "upsample",
]
