"""Networks whose logits for seeded weights and images are kept in data/deeplab_pins.npz.

Each differs from another in one option that changes the arithmetic. Where another project
implements an option, test/checkpoints/convert compares with that project itself; the rest is
compared with a plain version in test_backbones.py and test_deeplab.py. After a change that is
meant to change values:

    python test/networks/deeplab_pins.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "test" / "checkpoints" / "convert")]

import seeded  # noqa: E402

from bisenet_ros.networks import SegmentationNetwork, build  # noqa: E402
from bisenet_ros.networks.layers import round_up  # noqa: E402

FILE = Path(__file__).parent / "data" / "deeplab_pins.npz"
CLASSES = 5
SIZE = (304, 320)  # every tap of the pyramid falls inside the map
SAMPLES = 64  # logits kept of each

# A quarter of the width shows every mistake of the full one at a sixteenth of the work.
NARROW = {"width": 0.25}


def narrow(**more: Any) -> dict[str, Any]:
    return {"backbone": "resnet50", "backbone_options": {**NARROW, **more}}


V3 = {"width": 64, "auxiliary": False}
V3PLUS = {"width": 64, "low_level_width": 12}
PSP = {"width": 128, "auxiliary": False}
OS8 = {"output_stride": 8}
NO_HEADS = {"auxiliary": False}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    # What CoinCheung and mmsegmentation have is compared with theirs; they have none of these.
    "bisenetv2-large": ("bisenetv2-large", {"head_width": 64, **NO_HEADS}),
    "bisenetv2-large shallow": ("bisenetv2-large", {"head_width": 64, "depth": 1, **NO_HEADS}),
    "bisenetv2 deep": ("bisenetv2", {"head_width": 64, "depth": 2, **NO_HEADS}),
    "bisenetv1 resnet50": ("bisenetv1", {"backbone": "resnet50", "channels": 32, **NO_HEADS}),
    "bisenetv1 half": ("bisenetv1", {"backbone_width": 0.5, "channels": 32, **NO_HEADS}),
    "deeplabv2": ("deeplabv2", narrow(first_block_dilation="own", stride_on="1x1")),
    "deeplabv2 rates": (
        "deeplabv2",
        {**narrow(first_block_dilation="own", stride_on="1x1"), "rates": [3, 6, 9, 12]},
    ),
    "deeplabv2 ceil": (
        "deeplabv2",
        narrow(first_block_dilation="own", stride_on="1x1", ceil_pool=True),
    ),
    "deeplabv2 previous": ("deeplabv2", narrow(stride_on="1x1")),
    "deeplabv2 3x3": ("deeplabv2", narrow(first_block_dilation="own")),
    "deeplabv2 os16": ("deeplabv2", {**narrow(), "output_stride": 16}),
    "deeplabv3": ("deeplabv3", {**narrow(), **V3}),
    "deeplabv3 os8": ("deeplabv3", {**narrow(), **V3, **OS8}),
    "deeplabv3 own": ("deeplabv3", {**narrow(first_block_dilation="own"), **V3}),
    "deeplabv3 multi-grid": ("deeplabv3", {**narrow(multi_grid=[1, 2, 4]), **V3}),
    "deeplabv3 pooling first": (
        "deeplabv3",
        {**narrow(), **V3, "aspp_concatenation": "pooling_first"},
    ),
    "deeplabv3 3x3": ("deeplabv3", {**narrow(), **V3, "projection_kernel": 3, "refine": False}),
    "deeplabv3 separable": ("deeplabv3", {**narrow(), **V3, "separable": True}),
    "deeplabv3 deep stem": ("deeplabv3", {**narrow(stem_channels=[32, 32, 64]), **V3}),
    "deeplabv3plus": ("deeplabv3plus", {**narrow(), **V3PLUS}),
    "deeplabv3plus os8": ("deeplabv3plus", {**narrow(), **V3PLUS, **OS8}),
    "deeplabv3plus aligned": ("deeplabv3plus", {**narrow(), **V3PLUS, "align_corners": True}),
    "deeplabv3plus low-level first": (
        "deeplabv3plus",
        {**narrow(), **V3PLUS, "decoder_concatenation": "low_level_first"},
    ),
    "deeplabv3plus one layer": (
        "deeplabv3plus",
        {**narrow(), **V3PLUS, "decoder_layers": 1, "separable": False},
    ),
    "deeplabv3plus mobilenetv2": ("deeplabv3plus", {"backbone": "mobilenetv2", **V3PLUS}),
    "deeplabv3plus mobilenetv2 os8": (
        "deeplabv3plus",
        {"backbone": "mobilenetv2", **V3PLUS, **OS8},
    ),
    "deeplabv3plus mobilenetv2 block input": (
        "deeplabv3plus",
        {"backbone": "mobilenetv2", "backbone_options": {"padding": "block_input"}, **V3PLUS},
    ),
    "deeplabv3plus xception": ("deeplabv3plus", {"backbone": "xception", **V3PLUS}),
    "deeplabv3plus xception original": (
        "deeplabv3plus",
        {"backbone": "xception", "backbone_options": {"variant": "original"}, **V3PLUS},
    ),
    "pspnet": ("pspnet", {**narrow(), **PSP}),
    "pspnet own": ("pspnet", {**narrow(first_block_dilation="own"), **PSP}),
    "pspnet aligned": ("pspnet", {**narrow(), **PSP, "align_corners": True}),
    "pspnet bins": ("pspnet", {**narrow(), **PSP, "bins": [6, 3, 2, 1]}),
    "pspnet os16": ("pspnet", {**narrow(), **PSP, "output_stride": 16}),
}


def network(case: str) -> SegmentationNetwork:
    """The case's network with seeded weights, in eval mode."""
    architecture, options = CASES[case]
    with torch.device("meta"):
        built = build(architecture, CLASSES, **options)
    shapes = {key: tuple(value.shape) for key, value in built.state_dict().items()}
    built.load_state_dict(seeded.fill(shapes, seeded.RESIDUAL_GAIN), assign=True)
    return built.eval()


def answer(built: SegmentationNetwork) -> np.ndarray:
    """All logits for the seeded images."""
    with torch.no_grad():
        return built(seeded.images(*size(built))).numpy()


def size(built: SegmentationNetwork) -> tuple[int, int]:
    """``SIZE``, rounded up to what the network takes."""
    height, width = (round_up(side, built.multiple) for side in SIZE)
    return height, width


def sample(logits: np.ndarray) -> np.ndarray:
    """Values spread evenly over the logits, as many as are kept."""
    flat = logits.reshape(-1)
    return flat[np.linspace(0, flat.size - 1, SAMPLES).round().astype(int)]


def difference(logits: np.ndarray, kept: np.ndarray) -> float:
    """Largest difference from what is kept, by the largest value."""
    return float(np.abs(sample(logits) - kept).max() / np.abs(kept).max())


if __name__ == "__main__":
    np.savez_compressed(FILE, **{case: sample(answer(network(case))) for case in CASES})
