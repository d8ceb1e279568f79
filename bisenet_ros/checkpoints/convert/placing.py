"""A key table at work: which tensor goes where, and what is left over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bisenet_ros.checkpoints.convert.base import Match
from bisenet_ros.checkpoints.convert.keys import shown_name
from bisenet_ros.errors import WeightsError

COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Placement:
    """Where the tensors of a checkpoint belong.

    Attributes:
        sources: our name → the checkpoint's.
        unplaced: the checkpoint's names that no rule matches, or that match a tensor the network
            does not have.
        dropped: the checkpoint's names that have no counterpart here on purpose.
    """

    sources: dict[str, str]
    unplaced: tuple[str, ...]
    dropped: tuple[str, ...]

    def unfilled(self, names: Mapping[str, Tensor]) -> tuple[str, ...]:
        """Those of our ``names`` that the checkpoint has nothing for."""
        return tuple(name for name in names if name not in self.sources)


def place(keys: list[str], match: Match, names: Mapping[str, Tensor]) -> Placement:
    """Apply a match's table to a checkpoint's keys.

    Args:
        keys: the checkpoint's.
        match: with the table.
        names: the network's tensors, auxiliary heads included.

    Raises:
        WeightsError: two keys mean the same tensor.
    """
    rules = [(re.compile(rule.pattern), rule.replacement) for rule in match.table]
    drop = [re.compile(pattern) for pattern in match.dropped]
    sources: dict[str, str] = {}
    unplaced, dropped = [], []
    for key in keys:
        if any(pattern.fullmatch(key) for pattern in drop):
            dropped.append(key)
            continue
        found = next(((m, new) for rule, new in rules if (m := rule.fullmatch(key))), None)
        target = found[0].expand(found[1]) if found else ""
        if target not in names:
            unplaced.append(key)
        elif target in sources:
            raise WeightsError(
                f"{shown_name(sources[target])} and {shown_name(key)} both mean {target}; "
                "expected one of them: the file mixes two checkpoints, remove one"
            )
        else:
            sources[target] = key
    return Placement(sources, tuple(unplaced), tuple(dropped))


def take(
    placement: Placement, tensors: Mapping[str, Tensor], names: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The checkpoint's tensors under our names, checked, floats as float32, in memory of their own.

    Raises:
        WeightsError: a tensor has another shape or kind than the network's, or holds NaN, infinity
            or a negative variance.
    """
    # All shapes first: a view that only claims to be huge is refused before it is copied.
    for target, key in placement.sources.items():
        _check_shape(key, tensors[key], target, names[target])
    return {target: _value(key, tensors[key]) for target, key in placement.sources.items()}


def _check_shape(key: str, tensor: Tensor, target: str, wanted: Tensor) -> None:
    if tensor.shape != wanted.shape:
        raise WeightsError(
            f"{shown_name(key)} has shape {_shape(tensor)}; {target} has {_shape(wanted)}: "
            "it belongs to another variant of the network"
        )
    plain = tensor.layout is torch.strided and not tensor.is_quantized
    counts = target.endswith(COUNTER)
    numbers = not tensor.is_complex() and (counts or tensor.is_floating_point())
    if not plain or not numbers or tensor.dtype is torch.bool:
        kind = "whole" if counts else "floating-point"
        raise WeightsError(
            f"{shown_name(key)} holds {str(tensor.dtype).removeprefix('torch.')} values"
            f"{'' if plain else ' in a sparse or quantised form'}; expected dense {kind} numbers: "
            "save the network in float32"
        )


def _value(key: str, tensor: Tensor) -> Tensor:
    if key.endswith(COUNTER):
        return tensor.detach().to(torch.int64).clone()
    value = tensor.detach().to(torch.float32).clone(memory_format=torch.contiguous_format)
    if not bool(torch.isfinite(value).all()):
        raise WeightsError(
            f"{shown_name(key)} holds NaN or infinity; expected finite numbers: the training "
            "diverged or the file is damaged, take an earlier checkpoint"
        )
    if key.endswith("running_var") and bool((value < 0).any()):
        raise WeightsError(
            f"{shown_name(key)} holds a negative variance; the file is damaged: copy it again"
        )
    return value


def swap_channels(network: nn.Module) -> None:
    """Let a network that was trained on BGR take RGB: turn its first convolutions round, in place.

    Those are the ones of three input channels; no map inside a network here has three.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            module.weight.data = module.weight.data.flip(1).contiguous()


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "()"
