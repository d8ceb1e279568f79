"""Initialise training from a weights file."""

from __future__ import annotations

from pathlib import Path

import torch

from bisenet_ros.checkpoints import load
from bisenet_ros.errors import WeightsError
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import SegmentationNetwork


def start_from(path: str | Path, network: SegmentationNetwork, labels: LabelSet) -> list[str]:
    """Copy a weights file's tensors into ``network`` where name and shape match.

    A classifier is copied only if its classes are the same in the same order; one that merely
    has as many outputs would give the wrong names.

    Args:
        path: a weights file of the same architecture.
        network: the network to train.
        labels: its classes.

    Returns:
        Names of the network's tensors that keep their initialisation, because the file has none
        of that name and shape or because its classes differ.

    Raises:
        WeightsError: the file cannot be loaded, or is for another network.
    """
    source, card = load(path)
    loaded, own = source.state_dict(), network.state_dict()
    same_classes = card.labels.names == labels.names
    outputs = () if same_classes else classifiers(network)
    matching = {
        name: tensor
        for name, tensor in loaded.items()
        if name in own and own[name].shape == tensor.shape and not name.startswith(outputs)
    }
    if len(matching) < len(loaded) / 2:
        raise WeightsError(
            f"{path} is a {card.architecture} with {len(loaded)} tensors, of which {len(matching)} "
            f"fit the network to train; pass weights of the same network, or drop --weights"
        )
    network.load_state_dict({**own, **matching})
    return sorted(set(own) - set(matching))


def classifiers(network: SegmentationNetwork) -> tuple[str, ...]:
    """Name prefixes of the convolutions that output class logits."""
    count = network.config.num_classes
    return tuple(
        f"{name}."
        for name, module in network.named_modules()
        if name.split(".")[0].startswith(network.head_prefixes)
        and isinstance(module, torch.nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.out_channels == count
    )
