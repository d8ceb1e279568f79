"""The checkpoints of other projects' DeepLab and PSPNet networks that tests convert."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import seeded
import torch
from torch import Tensor

from bisenet_ros.checkpoints.convert import (
    kazuto,
    mmsegmentation_deeplab,
    semseg,
    torchvision,
    vainf,
)
from bisenet_ros.checkpoints.convert.base import Match
from bisenet_ros.networks.base import SegmentationNetwork
from bisenet_ros.networks.registry import build
from bisenet_ros.selftest.seeded import fold, sample

__all__ = ["fold", "sample"]

DETECT = {
    "torchvision": torchvision.detect,
    "vainf": vainf.detect,
    "semseg": semseg.detect,
    "kazuto": kazuto.detect,
    "mmsegmentation": mmsegmentation_deeplab.detect,
}


class Case(NamedTuple):
    """One network of a source.

    Attributes:
        manifest: file with its keys and shapes.
        size: (height, width) of the images; every tap of the pyramid falls inside the map.
        options: what its keys cannot tell, where it is not the published default.
        kept: whether its logits are kept in test/; the others differ by the depth alone.
    """

    manifest: str
    size: tuple[int, int] = (304, 320)
    options: dict[str, Any] = {}
    kept: bool = True


OS8 = {"output_stride": 8}
CASES = {
    "torchvision_deeplabv3_resnet50": Case("torchvision_deeplabv3_resnet50"),
    "torchvision_deeplabv3_resnet101": Case("", kept=False),
    "vainf_deeplabv3_resnet50": Case("vainf_deeplabv3_resnet50"),
    "vainf_deeplabv3_mobilenet": Case("vainf_deeplabv3_mobilenet"),
    "vainf_deeplabv3_xception": Case("", kept=False),
    "vainf_deeplabv3plus_resnet50": Case("vainf_deeplabv3plus_resnet50"),
    "vainf_deeplabv3plus_resnet50_os8": Case("", options=OS8, kept=False),
    "vainf_deeplabv3plus_resnet101": Case("", kept=False),
    "vainf_deeplabv3plus_mobilenet": Case("vainf_deeplabv3plus_mobilenet"),
    "vainf_deeplabv3plus_mobilenet_os8": Case("vainf_deeplabv3plus_mobilenet", options=OS8),
    "vainf_deeplabv3plus_xception": Case("vainf_deeplabv3plus_xception"),
    "vainf_deeplabv3plus_xception_os8": Case("vainf_deeplabv3plus_xception", options=OS8),
    "semseg_pspnet_resnet50": Case("semseg_pspnet_resnet50", size=(305, 321)),
    "semseg_pspnet_resnet101": Case("", size=(305, 321), kept=False),
    "kazuto_deeplabv2_resnet101": Case("kazuto_deeplabv2_resnet101"),
    "mmsegmentation_pspnet_resnet50": Case("mmsegmentation_pspnet_resnet50"),
    "mmsegmentation_pspnet_resnet101": Case("", kept=False),
    "mmsegmentation_deeplabv3_resnet50": Case("mmsegmentation_deeplabv3_resnet50"),
    "mmsegmentation_deeplabv3plus_resnet50": Case("mmsegmentation_deeplabv3plus_resnet50"),
    "mmsegmentation_deeplabv3plus_resnet101": Case("", kept=False),
}


def shapes_of(case: str) -> dict[str, list[int]]:
    """Keys and shapes of a kept case's checkpoint."""
    return seeded.manifest(CASES[case].manifest)["shapes"]


def images(case: str) -> Tensor:
    """Normalised images (1, 3, H, W) of the case's size."""
    height, width = CASES[case].size
    return seeded.images(height + -height % 16, width + -width % 16)[..., :height, :width]


def detect(case: str, tensors: Mapping[str, Tensor]) -> Match:
    """What the case's own source says of it."""
    match = DETECT[case.partition("_")[0]](tensors)
    assert match is not None
    return match


def renamed(match: Match, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's tensors under our names; every key must have one, and only one."""
    found: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        names = (
            hit.expand(rule.replacement)
            for rule in match.table
            if (hit := re.fullmatch(rule.pattern, key))
        )
        name = next(names, None)
        assert name is not None, f"no rule for {key}"
        assert name not in found, f"{key} is a second {name}"
        found[name] = tensor
    return found


def converted(case: str, tensors: Mapping[str, Tensor]) -> SegmentationNetwork:
    """Our network with the case's checkpoint in it, in eval mode; all keys must fit."""
    match = detect(case, tensors)
    state = renamed(match, tensors)
    if match.channel_order == "bgr":
        state["backbone.conv1.weight"] = state["backbone.conv1.weight"].flip(1)
    options = {**match.options, **CASES[case].options}
    options["auxiliary"] = any(key.startswith("aux") for key in state)
    with torch.device("meta"):
        network = build(match.architecture, match.num_classes, **options)
    network.load_state_dict(state, assign=True)
    return network.eval()


def answers(case: str, network: Any) -> dict[str, np.ndarray]:
    """Our logits, and those of the auxiliary head if there is one."""
    kept: list[Tensor] = []
    network.backbone.register_forward_hook(lambda _m, _i, out: kept.append(out.stride16))
    with torch.no_grad():
        found = {"logits": network(images(case)).numpy()}
        if network.config.auxiliary:
            found["auxiliary"] = network.aux_classifier(kept[0]).numpy()
    return found


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference, by the largest value."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def error(
    case: str, shapes: Mapping[str, Sequence[int]], logits: Mapping[str, np.ndarray]
) -> float:
    """Largest relative error of all our logits against the source's."""
    network = converted(case, seeded.fill(shapes, seeded.RESIDUAL_GAIN))
    ours = answers(case, network)
    assert ours.keys() == logits.keys()
    return max(relative(ours[name], logits[name]) for name in ours)
