"""Reads exported models: ONNX files and OpenVINO IR that carry the model card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisenet_ros.checkpoints import ModelCard
from bisenet_ros.errors import ArgumentError, WeightsError
from bisenet_ros.inference.engines.onnx_runtime import load_onnxruntime
from bisenet_ros.inference.engines.openvino import shared_core
from bisenet_ros.inference.export.graph import interface
from bisenet_ros.inference.export.quantised import describe

ONNX, IR = ".onnx", ".xml"
SUFFIXES = (ONNX, IR)
ENTRY = "bisenet_ros"  # the IR's entry that holds all metadata as JSON
# Metadata in addition to the card's: fp32 or int8, and what input sizes are rounded up to.
PRECISION, INPUT_STEP = "precision", "input_step"


@dataclass(frozen=True)
class Exported:
    """An exported model and its metadata.

    Attributes:
        path: the .onnx, or the .xml with its .bin next to it.
        card: of the weights it was exported from.
        size: (height, width) of its input.
        stride: input pixels per logit.
        input_step: sizes that are rounded up to ``size`` differ from it by less than this.
        precision: ``fp32``, or ``int8`` if it is quantised.
        logits: (classes, height, width) of its output.
    """

    path: Path
    card: ModelCard
    size: tuple[int, int]
    stride: int
    input_step: int
    precision: str
    logits: tuple[int, ...]


def is_exported(path: Path) -> bool:
    """Whether the suffix is that of an exported model, not of a weights file."""
    return path.suffix.lower() in SUFFIXES


def metadata(
    card: ModelCard, precision: str, input_step: int, size: Sequence[int], logits: Sequence[int]
) -> dict[str, str]:
    """The metadata of an exported file.

    Args:
        card: the card, which is part of it.
        precision: ``fp32`` or ``int8``.
        input_step: the step of input sizes.
        size, logits: as for :func:`~bisenet_ros.inference.export.graph.interface`.
    """
    own = {PRECISION: precision, INPUT_STEP: input_step, **interface(size, logits)}
    return {**card.metadata(), **{name: json.dumps(value) for name, value in own.items()}}


def read(path: Path) -> Exported:
    """Read an exported model's card and sizes.

    Raises:
        WeightsError: the file is missing, broken, or was not exported by this package.
        ArgumentError: the runtime that reads it is not installed.
    """
    if not path.is_file():
        raise WeightsError(
            f"model file {path} cannot be opened; pass a .onnx, .xml or .safetensors file"
        )
    if path.suffix.lower() == ONNX and (about := describe(path.read_bytes())) is not None:
        raise WeightsError(
            f"{path} is a network quantised for TensorRT, which belongs beside the weights file "
            f"that it was made of ({about.weights}); pass that one, with engine:=tensorrt and "
            "precision:=int8"
        )
    reader = _read_ir if path.suffix.lower() == IR else _read_onnx
    try:
        entries, image, logits = reader(path)
        card = ModelCard.from_metadata(entries)
        precision = str(json.loads(entries[PRECISION]))
        stride = _stride(image, logits, len(card.labels))
        step = int(json.loads(entries.get(INPUT_STEP, str(stride))))
    except ArgumentError:
        raise
    except Exception as error:  # the runtimes' errors have no common base class
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(
            f"{path} is not a model exported by this package: {reason}; "
            "create one with python -m bisenet_ros export"
        ) from error
    size = (image[1], image[2])
    return Exported(path, card, size, stride, step, precision, tuple(logits[1:]))


def _stride(image: list[int], logits: list[int], classes: int) -> int:
    """Input pixels per logit; ValueError unless the shapes are those of an image and its logits."""
    fixed = all(isinstance(side, int) and side > 0 for side in (*image, *logits))
    if not fixed or len(image) != 4 or len(logits) != 4 or image[3] != 3 or logits[1] != classes:
        raise ValueError(
            f"it maps {image} to {logits}; expected (1, H, W, 3) to (1, {classes}, h, w)"
        )
    # To the nearest: networks that round up inside have a row and a column more.
    return max(1, round(image[1] / logits[2]))


def _read_onnx(path: Path) -> tuple[dict[str, str], list[int], list[int]]:
    runtime = load_onnxruntime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entries = dict(session.get_modelmeta().custom_metadata_map)
    return entries, session.get_inputs()[0].shape, session.get_outputs()[0].shape


def _read_ir(path: Path) -> tuple[dict[str, str], list[int], list[int]]:
    model: Any = shared_core().read_model(path)
    entries = dict(json.loads(model.get_rt_info([ENTRY]).astype(str)))
    return entries, list(model.inputs[0].shape), list(model.outputs[0].shape)
