"""The average of several weights of one network, tensor by tensor.

Weights that were trained on from the same start mostly average well: what one recipe learned for
another light is kept beside what the other knows, at the cost of a single network. Weights that did
not start together do not.
Source: arXiv 2203.05482 and 2109.01903.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from bisenet_ros.checkpoints.card import ModelCard
from bisenet_ros.checkpoints.files import load
from bisenet_ros.errors import ArgumentError, WeightsError
from bisenet_ros.networks import SegmentationNetwork

# What must be the same in all cards, beside the classes and the network's configuration.
COMMON = ("architecture", "mean", "std", "resolution", "groups")
Loaded = tuple[SegmentationNetwork, ModelCard]


def average(
    paths: Sequence[Path], shares: Sequence[float] = (), command: str = ""
) -> tuple[SegmentationNetwork, ModelCard]:
    """Average weights files.

    Args:
        paths: of two or more files of the same network and classes.
        shares: how much each counts, in any unit; empty for the same.
        command: for the card.

    Returns:
        The network, in eval mode, and the first file's card with all their data, without scores and
        with temperature 1: both are to be measured again.

    Raises:
        ArgumentError: fewer than two files, or shares that do not fit them.
        WeightsError: a file is broken, or they do not belong together; says what differs.
    """
    portions = _portions(paths, shares)
    loaded = [load(path) for path in paths]
    cards = [card for _, card in loaded]
    for path, other in zip(paths[1:], loaded[1:], strict=True):
        _check_alike(paths[0], loaded[0], path, other)
    network = loaded[0][0]
    states = [other.state_dict() for other, _ in loaded]
    mean = {
        name: _mean([state[name] for state in states], portions) for name in network.state_dict()
    }
    network.load_state_dict(mean)
    card = replace(
        cards[0],
        dataset="; ".join(dict.fromkeys(card.dataset for card in cards if card.dataset)),
        licence="; ".join(dict.fromkeys(card.licence for card in cards if card.licence)),
        scores={},
        command=command,
        started_from=", ".join(path.name for path in paths),
        temperature=1.0,
    )
    return network, card


def _portions(paths: Sequence[Path], shares: Sequence[float]) -> list[float]:
    """Shares that add up to 1."""
    if len(paths) < 2:
        raise ArgumentError(f"{len(paths)} weights files to average; expected two or more")
    given = list(shares) or [1.0] * len(paths)
    # Not negated: also refuses NaN.
    fits = len(given) == len(paths) and all(share >= 0 for share in given) and sum(given) > 0
    if not fits or sum(given) == float("inf"):
        raise ArgumentError(
            f"shares are {', '.join(f'{share:g}' for share in given)}; expected {len(paths)} "
            "numbers from 0, one for each file and not all 0"
        )
    return [share / sum(given) for share in given]


def _check_alike(first: Path, expected: Loaded, path: Path, found: Loaded) -> None:
    for field, wanted in _facts(expected).items():
        other = _facts(found)[field]
        if other != wanted:
            raise WeightsError(
                f"{path} cannot be averaged with {first}: its {field} differs ({other} instead of "
                f"{wanted}); expected weights of one network and the same classes, trained on from "
                "the same start"
            )


def _facts(loaded: Loaded) -> dict[str, Any]:
    """What must be the same; the cards of older files leave out options at their default."""
    network, card = loaded
    facts = {field: getattr(card, field) for field in COMMON}
    facts["labels"] = card.labels.names
    return {**facts, "options": asdict(network.config)}


def _mean(tensors: Sequence[torch.Tensor], portions: Sequence[float]) -> torch.Tensor:
    """In float64; counters, such as a batch norm's number of batches, are the first's."""
    if not tensors[0].is_floating_point():
        return tensors[0]
    total = torch.zeros_like(tensors[0], dtype=torch.float64)
    for tensor, portion in zip(tensors, portions, strict=True):
        total += portion * tensor.double()
    return total.to(tensors[0].dtype)
