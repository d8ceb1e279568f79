"""Exported models: ONNX files and OpenVINO IR that carry the card of the weights they came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisenet_ros.checkpoints import ModelCard
from bisenet_ros.errors import ArgumentError, WeightsError
from bisenet_ros.inference.engines.onnx_runtime import load_onnxruntime
from bisenet_ros.inference.engines.openvino import load_openvino

ONNX, IR = ".onnx", ".xml"
SUFFIXES = (ONNX, IR)
ENTRY = "bisenet_ros"  # the IR's entry that holds all metadata as JSON
PRECISION = "precision"  # metadata beside the card's: fp32 or int8


@dataclass(frozen=True)
class Exported:
    """What an exported file says of itself.

    Attributes:
        path: the .onnx, or the .xml, whose .bin lies beside it.
        card: of the weights it came from.
        size: (height, width) of the images it takes.
        stride: input pixels for one logit.
        precision: ``fp32``, or ``int8`` if it is quantised.
    """

    path: Path
    card: ModelCard
    size: tuple[int, int]
    stride: int
    precision: str


def is_exported(path: Path) -> bool:
    """Whether the name is an exported model's, not a weights file's."""
    return path.suffix.lower() in SUFFIXES


def metadata(card: ModelCard, precision: str) -> dict[str, str]:
    """What an exported file carries: the card's metadata and the precision."""
    return {**card.metadata(), PRECISION: json.dumps(precision)}


def read(path: Path) -> Exported:
    """Read an exported model's card and sizes.

    Raises:
        WeightsError: the file is missing, broken, or was not exported by this package.
        ArgumentError: the runtime that reads it is not installed.
    """
    if not path.is_file():
        raise WeightsError(
            f"model file {path} cannot be opened; pass a .onnx, .xml or .safetensors"
        )
    reader = _read_ir if path.suffix.lower() == IR else _read_onnx
    try:
        entries, image, logits = reader(path)
        card = ModelCard.from_metadata(entries)
        precision = str(json.loads(entries[PRECISION]))
        stride = _stride(image, logits, len(card.labels))
    except ArgumentError:
        raise
    except Exception as error:  # each runtime has errors of its own, without a common base
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(
            f"{path} is no model exported by this package: {reason}; "
            "make one with python -m bisenet_ros export"
        ) from error
    return Exported(path, card, (image[1], image[2]), stride, precision)


def _stride(image: list[int], logits: list[int], classes: int) -> int:
    """Input pixels for one logit; ValueError unless the shapes are of images and their logits."""
    whole = all(isinstance(side, int) and side > 0 for side in (*image, *logits))
    if not whole or len(image) != 4 or len(logits) != 4 or image[3] != 3 or logits[1] != classes:
        raise ValueError(
            f"it maps {image} to {logits}; expected (1, H, W, 3) to (1, {classes}, H/8, W/8)"
        )
    return image[1] // logits[2]


def _read_onnx(path: Path) -> tuple[dict[str, str], list[int], list[int]]:
    runtime = load_onnxruntime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entries = dict(session.get_modelmeta().custom_metadata_map)
    return entries, session.get_inputs()[0].shape, session.get_outputs()[0].shape


def _read_ir(path: Path) -> tuple[dict[str, str], list[int], list[int]]:
    model: Any = load_openvino().Core().read_model(path)
    entries = dict(json.loads(model.get_rt_info([ENTRY]).astype(str)))
    return entries, list(model.inputs[0].shape), list(model.outputs[0].shape)
