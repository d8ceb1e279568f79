"""Every source of checkpoints there is, by name. A new one takes one file and an entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from bisenet_ros.checkpoints.convert import (
    coincheung,
    kazuto,
    mmsegmentation_bisenet,
    mmsegmentation_deeplab,
    semseg,
    torchvision,
    vainf,
)
from bisenet_ros.checkpoints.convert.base import Match, Source

Detect = Callable[[Mapping[str, Tensor]], Match | None]


def _first(*detectors: Detect) -> Detect:
    """What the first of several that knows the tensors says of them."""

    def detect(tensors: Mapping[str, Tensor]) -> Match | None:
        return next((match for one in detectors if (match := one(tensors)) is not None), None)

    return detect


MMSEGMENTATION = Source(
    "mmsegmentation",
    "open-mmlab/mmsegmentation: BiSeNetV1, BiSeNetV2, DeepLab v3 and v3+, PSPNet",
    _first(mmsegmentation_bisenet.detect, mmsegmentation_deeplab.detect),
)

SOURCES = {
    source.name: source
    for source in (
        coincheung.SOURCE,
        MMSEGMENTATION,
        torchvision.SOURCE,
        vainf.SOURCE,
        semseg.SOURCE,
        kazuto.SOURCE,
    )
}
