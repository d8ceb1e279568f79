"""Exports a trained module as a weights file with its card, and draws the run's plots."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from bisenet_ros.checkpoints import ModelCard, load, save
from bisenet_ros.inference.reference import Predictor
from bisenet_ros.metrics.dataset import evaluate
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.training.checkpoint import read_checkpoint
from bisenet_ros.training.int8 import as_float
from bisenet_ros.training.plots import draw_curves, draw_samples
from bisenet_ros.training.run import Prepared


def finish(prepared: Prepared, command: str, device: str = "cpu") -> tuple[Path, dict[str, float]]:
    """Write ``weights.safetensors``, ``curves.png`` and ``samples.png`` into the run's folder.

    The weights are those of the best validation, scored as ``evaluate`` does.

    Args:
        prepared: a run that has been trained.
        command: the command line, for the card.
        device: where to score.

    Returns:
        The weights file, and its scores on val.
    """
    out = Path(prepared.recipe.out)
    network = best_network(prepared, out / "best.ckpt").for_inference()
    card = card_of(prepared, network, command)
    predict = Predictor(network, card, device)
    validation = prepared.data.validation
    evaluated = evaluate(predict, validation, len(card.labels))
    score = {
        "val_miou": round(evaluated.scores.miou, 6),
        "val_pixel_accuracy": round(evaluated.scores.pixel_accuracy, 6),
    }
    path = save(out / "weights.safetensors", network, replace(card, scores=score))
    draw_curves(out / "metrics.csv", out / "curves.png")
    draw_samples(predict, validation.read, len(validation), card.labels, out / "samples.png")
    load(path)  # fail here if the file cannot be read back
    return path, score


def best_network(prepared: Prepared, checkpoint: Path) -> SegmentationNetwork:
    """The module's network with the weights of a checkpoint, averaged if it has both."""
    state = read_checkpoint(checkpoint)["state_dict"]
    prefix = "network."
    network = prepared.module.network.cpu()
    network.load_state_dict(
        {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    )
    as_float(network)
    return network


def card_of(prepared: Prepared, network: SegmentationNetwork, command: str) -> ModelCard:
    """The card of the run's weights, without scores."""
    recipe, training = prepared.recipe, prepared.data.training
    mean, std = ((red, green, blue) for red, green, blue in (recipe.mean, recipe.std))
    return ModelCard(
        architecture=network.architecture,
        options=asdict(network.config),
        labels=training.labels,
        mean=mean,
        std=std,
        resolution=prepared.resolution,
        dataset=training.source,
        licence=training.licence,
        command=command,
        groups=dict(training.groups),
        started_from=Path(recipe.weights or recipe.backbone_weights).name,
    )
