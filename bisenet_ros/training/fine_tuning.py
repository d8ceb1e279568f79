"""Initialise training from a weights file."""

from __future__ import annotations

from pathlib import Path

from bisenet_ros.checkpoints import load
from bisenet_ros.checkpoints.convert import read_backbone
from bisenet_ros.errors import ArgumentError, WeightsError
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
    outputs = () if same_classes else tuple(f"{name}." for name in network.output_convolutions())
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


def start_backbone(path: str | Path, network: SegmentationNetwork) -> list[str]:
    """Copy the body of one of torchvision's image classifiers into the network's backbone.

    Args:
        path: what ``torch.save`` wrote of the classifier's ``state_dict``, or safetensors.
        network: the network to train.

    Returns:
        Names of the network's tensors that keep their initialisation: all outside the backbone.

    Raises:
        WeightsError: the file is not that backbone's, or does not fit it exactly.
        ArgumentError: the network has no backbone that such a file could start.
    """
    backbone = getattr(network, "backbone", None)
    if backbone is None:
        raise ArgumentError(
            f"backbone_weights is {path}, but {network.architecture} has no backbone; expected a "
            "network that has one, or weights of the whole network in `weights`"
        )
    backbone.load_state_dict(read_backbone(path, network.config.backbone, backbone.state_dict()))
    (prefix,) = (name for name, module in network.named_modules() if module is backbone)
    return sorted(key for key in network.state_dict() if not key.startswith(f"{prefix}."))
