"""What ``evaluate`` scores: weights, ready to be called, and the data they are held against."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bisenet_ros.errors import ArgumentError, DataError

if TYPE_CHECKING:
    import numpy as np

    from bisenet_ros.checkpoints import ModelCard
    from bisenet_ros.labels import LabelSet

NAMED = 3  # classes that a message lists


@dataclass(frozen=True)
class Way:
    """How images become masks.

    Attributes:
        device: ``cuda``, ``cuda:N``, ``cpu`` or ``auto``.
        engine, precision: as the node takes them; both empty for plain float32 PyTorch.
        size: (height, width) of the network's input; None as the weights say.
        flip: look at the mirrored image, too.
        scales: factors on the size, a view each.

    Raises:
        ArgumentError: several views are asked of an engine, which the node never gives it.
    """

    device: str = "auto"
    engine: str = ""
    precision: str = ""
    size: tuple[int, int] | None = None
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.served and (self.flip or self.scales != (1.0,)):
            raise ArgumentError(
                "--engine and --precision score what the node runs, which sees each image once; "
                "leave them out, or --flip and --scales"
            )

    @property
    def served(self) -> bool:
        """Whether it is the node's own way."""
        return bool(self.engine or self.precision)


@dataclass(frozen=True)
class Model:
    """Weights ready to be called.

    Attributes:
        path: the file.
        card: its card.
        predict: (H, W, 3) uint8 RGB → (H, W) uint8 ids.
        way: what it runs on and with, as JSON values.
    """

    path: Path
    card: ModelCard
    predict: Callable[[np.ndarray], np.ndarray]
    way: dict[str, Any]

    def facts(self) -> dict[str, Any]:
        """What there is to say of the weights, as JSON values."""
        from bisenet_ros.checkpoints import fingerprint

        height, width = self.card.resolution
        return {
            "file": self.path.name,
            "sha256": fingerprint(self.path),
            "architecture": self.card.architecture,
            "classes": len(self.card.labels),
            "trained_on": self.card.dataset,
            "trained_at": f"{width} × {height}",
            "licence": self.card.licence,
        }


def read_model(path: Path, way: Way) -> Model:
    """Load weights for a way.

    Raises:
        WeightsError: the file is missing, broken or another's.
        ArgumentError: the way is none that this machine or this file can go.
    """
    from bisenet_ros.inference.export.reader import is_exported

    if way.served:
        return _as_served(path, way)
    if is_exported(path):
        raise ArgumentError(
            f"{path} is an exported model, which plain PyTorch cannot run; pass --engine auto"
        )
    return _plain(path, way)


def _plain(path: Path, way: Way) -> Model:
    from bisenet_ros.checkpoints import load
    from bisenet_ros.inference import device as hardware
    from bisenet_ros.inference.reference import Predictor

    device = hardware.choose(way.device, "fp32").device
    network, card = load(path)
    predictor = Predictor(network, card, device, way.size, way.flip, way.scales)
    facts = {
        "engine": "PyTorch as it is",
        "device": str(device),
        "precision": "fp32",
        "input": ", ".join(f"{width} × {height}" for height, width in predictor.sizes),
        "mirrored_too": "yes" if way.flip else "no",
    }
    return Model(path, card, predictor, facts)


def _as_served(path: Path, way: Way) -> Model:
    from bisenet_ros.inference import Segmenter

    engine, precision = way.engine or "auto", way.precision or "auto"
    segmenter = Segmenter(path, way.device, precision, engine, way.size)
    height, width = segmenter.input_size
    facts = {
        "engine": segmenter.engine.name,
        "why": segmenter.engine.why,
        "device": str(segmenter.compute.device),
        "precision": segmenter.compute.precision,
        "input": f"{width} × {height}",
    }
    return Model(path, segmenter.card, lambda image: segmenter([image])[0].mask, facts)


def parse_scales(text: str) -> tuple[float, ...]:
    """The factors of ``0.75,1,1.25``; ArgumentError for anything else."""
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError:
        scales = ()
    if not scales or not all(math.isfinite(scale) for scale in scales):
        raise ArgumentError(
            f"--scales is {text!r}; expected numbers with commas between, such as 0.75,1,1.25"
        )
    return scales


def check_classes(path: Path, weights: LabelSet, data: str, found: LabelSet) -> list[str]:
    """Warnings where the class names of weights and data differ; names are compared by id.

    Raises:
        DataError: the counts differ, so that ids cannot mean the same.
    """
    if len(weights) != len(found):
        raise DataError(
            f"{path} has {len(weights)} classes ({_some(weights.names)}), but {data} has "
            f"{len(found)} ({_some(found.names)}); pass weights trained on these classes, or "
            "another --data or --dataset"
        )
    pairs = enumerate(zip(weights.names, found.names, strict=True))
    differing = [
        f"{index} is {ours!r} and {theirs!r}"
        for index, (ours, theirs) in pairs
        if _plainly(ours) != _plainly(theirs)
    ]
    if not differing:
        return []
    more = f" and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
    return [
        f"class names of weights and data differ: id {', '.join(differing[:NAMED])}{more}; "
        "scores go by id, so they mean something only if the ids mean the same"
    ]


def _plainly(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ")


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
