"""Loads the model that ``evaluate`` scores, and checks its classes against the data's."""

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
EXACT = ("torch", "fp32")  # the fastest engine and precision whose masks are the reference's


@dataclass(frozen=True)
class InferenceOptions:
    """How images become masks.

    Attributes:
        device: ``cuda``, ``cuda:N``, ``cpu`` or ``auto``.
        engine, precision: as in the node; empty for torch and fp32, whose masks are exact.
        size: (height, width) of the network's input; None for the weights' own.
        flip: also average in the mirrored image.
        scales: factors on the size, one view per factor.
        reference: run the plain network, as training validates: exact, and slower.

    Raises:
        ArgumentError: several views, or the reference, are requested with an engine; the node never
            does that.
    """

    device: str = "auto"
    engine: str = ""
    precision: str = ""
    size: tuple[int, int] | None = None
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    reference: bool = False

    def __post_init__(self) -> None:
        if not self.as_in_node and (self.engine or self.precision):
            raise ArgumentError(
                "--engine and --precision run as in the node, which sees each image once; "
                "drop either those two, or --flip, --scales and --reference"
            )

    @property
    def as_in_node(self) -> bool:
        """Whether to run the node's own pipeline."""
        return not self.reference and not self.flip and self.scales == (1.0,)


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to be called.

    Attributes:
        path: the file.
        card: its card.
        predict: (H, W, 3) uint8 RGB → (H, W) uint8 ids.
        settings: engine, device, precision and input size, as JSON values.
    """

    path: Path
    card: ModelCard
    predict: Callable[[np.ndarray], np.ndarray]
    settings: dict[str, Any]

    def facts(self) -> dict[str, Any]:
        """Facts about the weights, as JSON values."""
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
            "temperature": self.card.temperature,
        }


def read_model(path: Path, options: InferenceOptions) -> LoadedModel:
    """Load weights to run with ``options``.

    Raises:
        WeightsError: the file is missing, broken or not one of ours.
        ArgumentError: this machine or this file does not support the options.
    """
    from bisenet_ros.inference.export.reader import is_exported

    if options.as_in_node:
        return _node_pipeline(path, options)
    if is_exported(path):
        raise ArgumentError(
            f"{path} is an exported model, which only its runtime can run; drop --flip, --scales "
            "and --reference"
        )
    return _plain(path, options)


def _plain(path: Path, options: InferenceOptions) -> LoadedModel:
    from bisenet_ros.checkpoints import load
    from bisenet_ros.inference.device import choose
    from bisenet_ros.inference.reference import Predictor

    device = choose(options.device, "fp32").device
    network, card = load(path)
    predictor = Predictor(network, card, device, options.size, options.flip, options.scales)
    facts = {
        "engine": "plain PyTorch",
        "device": str(device),
        "precision": "fp32",
        "input": ", ".join(f"{width} × {height}" for height, width in predictor.sizes),
        "mirrored_too": "yes" if options.flip else "no",
    }
    return LoadedModel(path, card, predictor, facts)


def _node_pipeline(path: Path, options: InferenceOptions) -> LoadedModel:
    from bisenet_ros.inference import Segmenter
    from bisenet_ros.inference.export.reader import is_exported

    engine, precision = options.engine, options.precision
    if not engine and not precision and not is_exported(path):
        engine, precision = EXACT
    engine, precision = engine or "auto", precision or "auto"
    segmenter = Segmenter(path, options.device, precision, engine, options.size)
    height, width = segmenter.input_size
    facts = {
        "engine": segmenter.engine.name,
        "why": segmenter.engine.why,
        "device": str(segmenter.compute.device),
        "precision": segmenter.compute.precision,
        "input": f"{width} × {height}",
    }
    return LoadedModel(path, segmenter.card, lambda image: segmenter([image])[0].mask, facts)


def parse_scales(text: str) -> tuple[float, ...]:
    """The factors of ``0.75,1,1.25``; ArgumentError for anything else."""
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError:
        scales = ()
    if not scales or not all(math.isfinite(scale) for scale in scales):
        raise ArgumentError(
            f"--scales is {text!r}; expected comma-separated numbers, such as 0.75,1,1.25"
        )
    return scales


def check_classes(path: Path, weights: LabelSet, data: str, found: LabelSet) -> list[str]:
    """Warnings where the class names of weights and data differ, compared by id.

    Raises:
        DataError: the class counts differ, so the ids cannot mean the same.
    """
    if len(weights) != len(found):
        raise DataError(
            f"{path} has {len(weights)} classes ({_shortened(weights.names)}), but {data} has "
            f"{len(found)} ({_shortened(found.names)}); pass weights trained on these classes, or "
            "another --data or --dataset"
        )
    pairs = enumerate(zip(weights.names, found.names, strict=True))
    differing = [
        f"{index} is {ours!r} and {theirs!r}"
        for index, (ours, theirs) in pairs
        if _normalised(ours) != _normalised(theirs)
    ]
    if not differing:
        return []
    more = f" and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
    return [
        f"class names of weights and data differ: id {', '.join(differing[:NAMED])}{more}; "
        "scores compare ids, so they are only meaningful if the ids mean the same classes"
    ]


def _normalised(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ")


def _shortened(names: tuple[str, ...]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
