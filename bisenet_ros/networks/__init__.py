"""Networks: tensors in, logits out; no files, no images.

``BUILDERS`` names every architecture a weights file may hold.
"""

from bisenet_ros.networks.base import SegmentationNetwork
from bisenet_ros.networks.bisenetv2 import BiSeNetV2, BiSeNetV2Options
from bisenet_ros.networks.layers import upsample

BUILDERS: dict[str, tuple[type[SegmentationNetwork], type]] = {
    "bisenetv2": (BiSeNetV2, BiSeNetV2Options)
}

__all__ = ["BUILDERS", "BiSeNetV2", "BiSeNetV2Options", "SegmentationNetwork", "upsample"]
