"""Loads what the node's parameters name: models at every input size, and the label map."""

from __future__ import annotations

import cv2
import torch

from bisenet_ros.inference import Segmenter
from bisenet_ros.label_map import LabelMap
from bisenet_ros.labels import LabelSet
from bisenet_ros.ros.parameters.definition import Parameters
from bisenet_ros.ros.segmentation.adaptive_resolution import (
    Models,
    ResolutionController,
    resolution_steps,
)
from bisenet_ros.system.paths import expanded
from bisenet_ros.system.share import preset_file


def load_models(parameters: Parameters) -> Models:
    """The model at its input size and, if adaptive, at smaller ones; all warmed up.

    Raises:
        BisenetError: the weights, another argument or the label map does not fit.
    """
    if parameters.threads:
        torch.set_num_threads(parameters.threads)
        cv2.setNumThreads(parameters.threads)

    def load(size: tuple[int, int] | None) -> Segmenter:
        return Segmenter(
            expanded(parameters.weights),
            parameters.device,
            parameters.precision,
            parameters.engine,
            size,
        )

    models = [load(parameters.input_size)]
    trained = None if parameters.any_input_size else parameters.input_size
    models[0].check(parameters.num_classes, trained)
    if parameters.adaptive:
        models += [load(size) for size in resolution_steps(models[0].input_size)[1:]]
    for model in models:
        model.warm_up(len(parameters.topics()))
    controller = ResolutionController([model.input_size for model in models])
    return Models(models, controller, load_label_map(parameters, models[0].labels))


def load_label_map(parameters: Parameters, labels: LabelSet) -> LabelMap | None:
    """The label map that the parameters name, for these classes; DataError if it does not fit."""
    if not parameters.label_map:
        return None
    return LabelMap.read(preset_file("label_maps", parameters.label_map), labels)


def model_values(models: Models, weights: str, label_map: str) -> dict[str, str]:
    """What diagnostics say of the models.

    Args:
        models: in use.
        weights: name and fingerprint of their file.
        label_map: as the parameter has it.
    """
    segmenter = models.current
    height, width = segmenter.input_size
    device = segmenter.compute.device
    used = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    return {
        "device": str(device),
        "precision": segmenter.compute.precision,
        "engine": segmenter.engine.name,
        "weights": weights,
        "num_classes": str(len(models.labels)),
        "label_map": label_map or "none",
        "input_size": f"{width}x{height}",
        "gpu_memory_mb": f"{used / 2**20:.1f}",
    }
