"""Loads the model that recordings are run through, and describes it in reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisenet_ros.checkpoints import ModelCard, fingerprint, read_card
from bisenet_ros.inference.export import reader
from bisenet_ros.inference.segmenter import Segmenter
from bisenet_ros.replay.predictor import SegmenterPredictor


@dataclass(frozen=True)
class ModelOptions:
    """Which model, and how it runs; everything as in the node.

    Attributes:
        weights: a weights file or an exported model; None for the shipped weights.
        device, precision, engine: as of the Segmenter.
        size: (height, width) of the network's input; None for the weights' own.
        alpha: opacity of overlays, 0–1.
        threshold: pixels whose class is less probable become 255, 0–1.
    """

    weights: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    engine: str = "auto"
    size: tuple[int, int] | None = None
    alpha: float = 0.5
    threshold: float = 0.0

    def load(self) -> SegmenterPredictor:
        """The model, ready to be called.

        Raises:
            WeightsError: the file is missing, broken or not one of this package.
            ArgumentError: this machine or this file does not support the options.
        """
        segmenter = Segmenter(self.weights, self.device, self.precision, self.engine, self.size)
        return SegmenterPredictor(segmenter, self.alpha, self.threshold)


def weights_facts(path: Path, card: ModelCard | None = None) -> dict[str, Any]:
    """Facts about a weights file or an exported model, as JSON values.

    Args:
        path: the file.
        card: its card, if that is known already.
    """
    if card is None:
        card = reader.read(path).card if reader.is_exported(path) else read_card(path)
    height, width = card.resolution
    return {
        "file": path.name,
        "sha256": fingerprint(path),
        "architecture": card.architecture,
        "classes": len(card.labels),
        "trained_on": card.dataset,
        "trained_at": f"{width} × {height}",
        "licence": card.licence,
        "temperature": card.temperature,
    }


def inference_facts(segmenter: Segmenter) -> dict[str, Any]:
    """How the model runs, as JSON values."""
    height, width = segmenter.input_size
    return {
        "engine": segmenter.engine.name,
        "why": segmenter.engine.why,
        "device": str(segmenter.compute.device),
        "precision": segmenter.compute.precision,
        "input": f"{width} × {height}",
    }
