"""What a source of checkpoints says of itself: how its files are told, and its key table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Rule:
    r"""One line of a key table.

    Attributes:
        pattern: regular expression that must match a source's whole key.
        replacement: our key, with ``\1``, ``\2`` … for the pattern's groups.
    """

    pattern: str
    replacement: str


@dataclass(frozen=True)
class Match:
    """A checkpoint of a source, recognised by its keys and shapes.

    Attributes:
        architecture: a key of ``networks.NETWORKS``.
        options: fields of that network's config, without ``num_classes`` and ``auxiliary``.
        why: in words, what the checkpoint was told by.
        num_classes: as the classifier's shape says; 0 if the classifier is missing.
        table: the first rule that matches a key says its name here.
        assumed: what the keys cannot tell: option → the published default taken, in words.
        mean, std: the source's normalisation of RGB images in 0–1; None where it depends on the
            data set the checkpoint was trained on.
        channel_order: ``rgb``, or ``bgr`` if the source feeds its network so.
        dropped: patterns of keys that have no counterpart here on purpose.
    """

    architecture: str
    options: dict[str, Any]
    why: str
    num_classes: int
    table: tuple[Rule, ...]
    assumed: dict[str, str] = field(default_factory=dict)
    mean: Triple | None = IMAGENET_MEAN
    std: Triple | None = IMAGENET_STD
    channel_order: str = "rgb"
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """Somebody's checkpoints.

    Attributes:
        name: what ``--source`` takes.
        help: one line for people who choose.
        detect: from unwrapped tensors by name, of which only names and shapes are looked at, to a
            :class:`Match`; None if they are not this source's. WeightsError if they are, but of a
            kind that this package does not build.
    """

    name: str
    help: str
    detect: Callable[[Mapping[str, Tensor]], Match | None]


def same(pattern: str) -> Rule:
    """A rule for keys that are called the same here."""
    return Rule(f"({pattern})", r"\1")
