"""Weights of image classifiers, to start training a network's backbone from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bisenet_ros.checkpoints.convert.conversion import IncompleteError
from bisenet_ros.checkpoints.convert.keys import some
from bisenet_ros.checkpoints.convert.placing import COUNTER, place, take
from bisenet_ros.checkpoints.convert.reading import read
from bisenet_ros.checkpoints.convert.torchvision import BACKBONES, detect_backbone
from bisenet_ros.errors import WeightsError


def read_backbone(
    path: str | Path, backbone: str, names: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors of torchvision's classifier under a backbone's own names; its last layer is left.

    Args:
        path: what ``torch.save`` wrote of its state dict, or safetensors.
        backbone: one of ``torchvision.BACKBONES``.
        names: the backbone's ``state_dict``; only names and shapes are looked at.

    Raises:
        WeightsError: one line: the file is not such a checkpoint, or does not fit exactly.
    """
    if backbone not in BACKBONES:
        raise WeightsError(
            f"{path}: torchvision has no {backbone}; expected a network on one of "
            f"{', '.join(BACKBONES)}: choose another backbone, or start without"
        )
    checkpoint = read(path)
    match = detect_backbone(checkpoint.tensors)
    if match is None or match.architecture != backbone:
        found = "no classifier of torchvision's known here" if match is None else match.architecture
        raise WeightsError(
            f"{path} holds {found}; expected torchvision's {backbone}: save its state_dict, or "
            "choose another backbone"
        )
    try:
        placement = place(list(checkpoint.tensors), match, names)
        missing = placement.unfilled(names)
        counters = {n: torch.zeros((), dtype=torch.int64) for n in missing if n.endswith(COUNTER)}
        unfilled = tuple(n for n in missing if n not in counters)
        if placement.unplaced or unfilled:
            listed = some((*placement.unplaced, *unfilled))
            raise IncompleteError(
                f"{len(placement.unplaced)} keys have no place and {len(unfilled)} tensors are not "
                f"filled ({listed}); expected an exact fit: the backbone has another stem or width",
                placement.unplaced,
                unfilled,
            )
        return take(placement, checkpoint.tensors, names) | counters
    except WeightsError as error:
        raise WeightsError(f"{path}, read as torchvision's {backbone}: {error}") from error
