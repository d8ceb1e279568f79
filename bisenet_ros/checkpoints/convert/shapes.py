"""What keys and shapes alone tell of a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from bisenet_ros.errors import WeightsError

RESNETS = {6: "resnet50", 23: "resnet101"}  # by the blocks of the third stage


def count_children(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbered modules there are below ``prefix``, such as the blocks of a stage."""
    pattern = re.compile(re.escape(prefix) + r"\.(?:block)?(\d+)\.")
    return len({match[1] for key in tensors if (match := pattern.match(key))})


def class_count(tensors: Mapping[str, Tensor], classifier: str, source: str) -> int:
    """Output channels of the last convolution; 0 if it is missing.

    Args:
        tensors: the checkpoint's.
        classifier: key of that convolution's weight.
        source: for the message.

    Raises:
        WeightsError: it is not the weight of a convolution.
    """
    weight = tensors.get(classifier)
    if weight is None:
        return 0
    if weight.ndim != 4:
        raise WeightsError(
            f"{classifier} has {weight.ndim} dimensions; expected the 4 of a convolution's weight: "
            f"this is not a checkpoint of {source} that is known here"
        )
    return weight.shape[0]


def resnet_name(tensors: Mapping[str, Tensor], third_stage: str, source: str) -> str:
    """``resnet50`` or ``resnet101``, told by the blocks of the third stage.

    Args:
        tensors: the checkpoint's.
        third_stage: prefix of that stage's blocks.
        source: for the message.

    Raises:
        WeightsError: the stage has another number of blocks.
    """
    blocks = count_children(tensors, third_stage)
    if blocks not in RESNETS:
        raise WeightsError(
            f"looks like a checkpoint of {source} but has {blocks} blocks in {third_stage}; "
            "expected 6 (ResNet-50) or 23 (ResNet-101): another backbone, or half a checkpoint"
        )
    return RESNETS[blocks]
