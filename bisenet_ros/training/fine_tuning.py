"""Start a training from another file's weights."""

from __future__ import annotations

from pathlib import Path

import torch

from bisenet_ros.checkpoints import load
from bisenet_ros.errors import WeightsError
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import SegmentationNetwork


def start_from(path: str | Path, network: SegmentationNetwork, labels: LabelSet) -> list[str]:
    """Copy a weights file's tensors into ``network``; those it has no use for stay as they are.

    A classifier is taken over only if it is for the same classes in the same order; one that
    merely has as many outputs would name things wrongly.

    Args:
        path: a weights file of the same architecture.
        network: what is to be trained.
        labels: the classes it is to tell apart.

    Returns:
        Names of the network's tensors that were made anew, because the file has none of that
        name and shape or because its classes differ.

    Raises:
        WeightsError: the file cannot be loaded, or is another network's.
    """
    source, card = load(path)
    given, own = source.state_dict(), network.state_dict()
    same_classes = card.labels.names == labels.names
    outputs = () if same_classes else classifiers(network)
    taken = {
        name: tensor
        for name, tensor in given.items()
        if name in own and own[name].shape == tensor.shape and not name.startswith(outputs)
    }
    if len(taken) < len(given) / 2:
        raise WeightsError(
            f"{path} is a {card.architecture} with {len(given)} tensors, of which {len(taken)} fit "
            f"the network to be trained; pass weights of the same network, or leave --weights away"
        )
    network.load_state_dict({**own, **taken})
    return sorted(set(own) - set(taken))


def classifiers(network: SegmentationNetwork) -> tuple[str, ...]:
    """Names of the convolutions whose outputs are classes."""
    count = network.config.num_classes
    return tuple(
        f"{name}."
        for name, module in network.named_modules()
        if name.split(".")[0].startswith(network.head_prefixes)
        and isinstance(module, torch.nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.out_channels == count
    )
