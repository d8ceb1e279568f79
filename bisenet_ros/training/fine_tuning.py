"""Initialise training from a weights file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bisenet_ros.checkpoints import load, read_card
from bisenet_ros.checkpoints.convert import read_backbone
from bisenet_ros.errors import ArgumentError, WeightsError
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.training.narrowing import narrow
from bisenet_ros.training.recipe import DEFAULTS, Recipe

# Options of a network that a recipe sets elsewhere: by its data, auxiliary_weight and backbone.
GOVERNED = ("num_classes", "auxiliary", "backbone")


def as_in_weights(recipe: Recipe, resume: bool = False) -> Recipe:
    """The recipe with what the card of its weights says, where the recipe itself says nothing.

    Options of the network that change its arithmetic leave no trace in the tensors, and a network
    expects the mean and std it was trained with. So both are taken from the card if the network is
    the same, and mean and std only if the recipe has the defaults.

    Args:
        recipe: returned as it is if it has no weights, or those of another network.
        resume: leave it as it is if the file is gone, too: the run's checkpoint has the weights.

    Raises:
        WeightsError: the file cannot be loaded.
        ArgumentError: what the recipe says itself does not go with the card's options.
    """
    if not recipe.weights or (resume and not Path(recipe.weights).is_file()):
        return recipe
    card = read_card(recipe.weights)
    if card.architecture != recipe.network:
        return recipe
    inherited = {key: value for key, value in card.options.items() if key not in GOVERNED}
    known = card.options.get("backbone", "")
    if recipe.backbone not in ("", known):  # those of one backbone do not suit another
        inherited = {k: v for k, v in inherited.items() if not k.startswith("backbone_")}
    changes: dict[str, Any] = {"network_options": {**inherited, **recipe.network_options}}
    changes["backbone"] = recipe.backbone or known
    if (recipe.mean, recipe.std) == (DEFAULTS["mean"], DEFAULTS["std"]):
        changes |= {"mean": list(card.mean), "std": list(card.std)}
    return replace(recipe, **changes)


def start_from(path: str | Path, network: SegmentationNetwork, labels: LabelSet) -> list[str]:
    """Copy a weights file's tensors into ``network`` where name and shape match.

    If ``network`` is a narrower one of the same architecture, the file's strongest channels are
    copied, see :func:`bisenet_ros.training.narrowing.narrow`. A classifier is copied only if its
    classes are the same in the same order; one that merely has as many outputs would give the wrong
    names.

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
    if _narrower(network, source):
        config = replace(network.config, num_classes=source.config.num_classes)
        source = narrow(source, config)
    loaded, own = source.state_dict(), network.state_dict()
    same_classes = card.labels.names == labels.names
    outputs = () if same_classes else tuple(f"{name}." for name in network.output_convolutions())
    matching = {
        name: tensor
        for name, tensor in loaded.items()
        if name in own and own[name].shape == tensor.shape and not name.startswith(outputs)
    }
    if len(matching) < len(loaded) / 2:
        same = card.architecture == network.architecture
        hint = "weights with the same options" if same else f"--network {card.architecture}"
        raise WeightsError(
            f"{path} is a {card.architecture} with {len(loaded)} tensors, of which {len(matching)} "
            f"fit the {network.architecture} to train; pass {hint}, or drop --weights"
        )
    network.load_state_dict({**own, **matching})
    return sorted(set(own) - set(matching))


def _narrower(network: SegmentationNetwork, source: SegmentationNetwork) -> bool:
    """Whether ``network`` has the layers of ``source``, but some of them with fewer channels."""
    own, loaded = (x.for_inference().state_dict() for x in (network, source))
    if network.architecture != source.architecture or own.keys() != loaded.keys():
        return False
    classifiers = tuple(f"{name}." for name in source.output_convolutions())
    differing = [
        (tensor.shape, loaded[name].shape)
        for name, tensor in own.items()
        if tensor.shape != loaded[name].shape and not name.startswith(classifiers)
    ]
    return bool(differing) and all(
        len(new) == len(old) and all(a <= b for a, b in zip(new, old, strict=True))
        for new, old in differing
    )


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
