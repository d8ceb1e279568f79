"""Writes a network as an ONNX file or OpenVINO IR, in float32 or quantised to int8."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bisenet_ros.checkpoints import ModelCard
from bisenet_ros.errors import BarNotMet
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.engines.base import Engine
from bisenet_ros.inference.engines.onnx_runtime import OnnxRuntimeEngine
from bisenet_ros.inference.engines.openvino import OpenVinoEngine, load_openvino, shared_core
from bisenet_ros.inference.export.graph import INPUT, ServedNetwork, to_onnx
from bisenet_ros.inference.export.reader import ENTRY, IR, metadata
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.system.optional import needed

TOLERANCE = 1e-3  # relative to the largest logit; another summation order alone gives 1e-5


def write(
    path: Path,
    network: SegmentationNetwork,
    card: ModelCard,
    size: tuple[int, int],
    examples: Sequence[np.ndarray] | None = None,
) -> None:
    """Write the network for one input size, with its card.

    Args:
        path: ``.onnx``, or ``.xml``; its ``.bin`` is written next to it.
        network, card: as returned by :func:`bisenet_ros.checkpoints.load`.
        size: (height, width) of the input, multiples of the network's ``input_step``.
        examples: images (height, width, 3) uint8 RGB to calibrate int8 with; None for float32.

    Raises:
        ArgumentError: a required package is not installed.
    """
    content = to_onnx(ServedNetwork(network, card.mean, card.std), size)
    precision = "fp32" if examples is None else "int8"
    shape = (1, len(card.labels), *network.logits_size(size))
    entries = metadata(card, precision, network.input_step, size, shape[1:])
    if path.suffix.lower() == IR:
        _write_ir(path, content, entries, examples)
    else:
        _write_onnx(path, content, entries, examples, shape)


def _write_onnx(
    path: Path,
    content: bytes,
    entries: dict[str, str],
    examples: Sequence[np.ndarray] | None,
    shape: tuple[int, ...],
) -> None:
    onnx = needed("onnx", "onnx", "writing ONNX")
    model = onnx.load_from_string(content)
    # torch's exporter loses the output size at the final crop; readers need it.
    dimensions = model.graph.output[0].type.tensor_type.shape.dim
    for dimension, side in zip(dimensions, shape, strict=True):
        dimension.dim_value = side
    if examples is not None:
        model = _quantise(model, [{INPUT: image[None]} for image in examples])
    onnx.helper.set_model_props(model, entries)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _write_ir(
    path: Path, content: bytes, entries: dict[str, str], examples: Sequence[np.ndarray] | None
) -> None:
    openvino = load_openvino()
    model = shared_core().read_model(io.BytesIO(content))
    if examples is not None:
        model = _quantise(model, [image[None] for image in examples])
    model.set_rt_info(json.dumps(entries, ensure_ascii=False), [ENTRY])
    openvino.save_model(model, str(path), compress_to_fp16=False)


def _quantise(model: Any, inputs: Sequence[Any]) -> Any:
    """Post-training quantisation to int8, weights and activations."""
    nncf = needed("nncf", "int8", "quantising to int8")
    return nncf.quantize(model, nncf.Dataset(inputs), subset_size=len(inputs))


def check(
    path: Path, network: SegmentationNetwork, card: ModelCard, images: Sequence[np.ndarray]
) -> float:
    """Compare an exported float32 file with the network it was exported from.

    Args:
        path: the file.
        network, card: what it was exported from.
        images: (height, width, 3) uint8 RGB of the file's input size.

    Returns:
        The largest difference of a logit, relative to the largest logit.

    Raises:
        BarNotMet: it exceeds ``TOLERANCE``.
    """
    compute = Compute(torch.device("cpu"), "fp32")
    engine_class = OpenVinoEngine if path.suffix.lower() == IR else OnnxRuntimeEngine
    engine: Engine = engine_class(path, network.stride, compute)
    reference = ServedNetwork(network, card.mean, card.std)
    worst = 0.0
    for image in images:
        batch = torch.from_numpy(image)[None]
        with torch.inference_mode():
            expected = reference(batch)
        difference = float((engine(batch) - expected).abs().max() / expected.abs().max())
        worst = float(np.maximum(worst, difference))  # unlike max, keeps NaN
    if not worst <= TOLERANCE:
        raise BarNotMet(
            f"the exported network's logits differ from the original's by {worst:.1e} of the "
            f"largest logit; expected at most {TOLERANCE:.0e}, so nothing was written"
        )
    return worst
