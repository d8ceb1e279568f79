"""A network quantised for TensorRT: ONNX with the integers' scales in the graph (Q/DQ).

TensorRT takes such scales as they are, if zero stays zero, values are signed and activations have
one scale per tensor; its own calibration is gone from version 11 on. The file belongs to a weights
file and an input size, lies beside the weights, and holds the network alone, without normalisation.
Source: https://docs.nvidia.com/deeplearning/tensorrt, "Explicit Quantization".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bisenet_ros.checkpoints import ModelCard, fingerprint
from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference.export.graph import INPUT, ServedNetwork, network_onnx
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.networks.layers import round_up_size
from bisenet_ros.system.optional import needed

ENTRY = "bisenet_ros_quantised"  # of the metadata
MOST_POSITIVE = 127.0  # of a signed byte; -128 is not used
UNSIGNED_STEPS = 255.0
PROPERTIES, KEY, VALUE = 14, 1, 2  # numbers of protobuf fields, from onnx.proto
Size = tuple[int, int]


@dataclass(frozen=True)
class Quantised:
    """What a file was quantised for.

    Attributes:
        weights: fingerprint of the weights file.
        size: (height, width) of the network's input, padded.
    """

    weights: str
    size: Size


def quantise(
    network: SegmentationNetwork,
    card: ModelCard,
    weights: Path,
    size: Size,
    examples: Sequence[np.ndarray],
) -> bytes:
    """Quantise the network to int8 for TensorRT.

    Args:
        network, card: of the weights, in eval mode.
        weights: their file.
        size: (height, width) of the images.
        examples: images (height, width, 3) uint8 RGB to set the ranges with.

    Returns:
        An ONNX file: input (N, 3, h, w) normalised and padded, output logits, both float32.

    Raises:
        ArgumentError: a required package is not installed.
    """
    onnx = needed("onnx", "onnx", "writing ONNX")
    nncf = needed("nncf", "int8", "quantising to int8")
    served = ServedNetwork(network, card.mean, card.std)
    padded = padded_size(network, size)
    inputs = [{INPUT: served.normalised(torch.from_numpy(e)[None]).numpy()} for e in examples]
    model = nncf.quantize(
        onnx.load_from_string(network_onnx(network, padded)),
        nncf.Dataset(inputs),
        preset=nncf.QuantizationPreset.PERFORMANCE,  # zero stays zero
        subset_size=len(inputs),
    )
    _make_signed(onnx, model.graph)
    about = {"weights": fingerprint(weights), "size": list(padded)}
    onnx.helper.set_model_props(model, {ENTRY: json.dumps(about)})
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def padded_size(network: SegmentationNetwork, size: Size) -> Size:
    """(height, width) that images of ``size`` are padded to."""
    return round_up_size(size, network.multiple)


def _make_signed(onnx: Any, graph: Any) -> None:
    """Give every activation one scale, of signed bytes: the smallest that covers its range.

    Weights, which are signed and have a scale for each channel, stay as they are.
    """
    values = {tensor.name: tensor for tensor in graph.initializer}
    constant = set(values)
    done: dict[tuple[str, str], tuple[str, str]] = {}  # scale and zero point, and their new names
    for node in graph.node:  # sources come before what uses them
        if constant.issuperset(node.input):
            constant.update(node.output)
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            _use_signed(onnx, graph, node, values, done)
    del graph.value_info[:]  # which calls them unsigned; all of it can be inferred
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _use_signed(
    onnx: Any,
    graph: Any,
    node: Any,
    values: dict[str, Any],
    done: dict[tuple[str, str], tuple[str, str]],
) -> None:
    """Give one node its new scale and zero point, which are added to the graph at the first use."""
    scale, zero = node.input[1:3]
    if (scale, zero) not in done:
        scales = onnx.numpy_helper.to_array(values[scale])
        zeros = onnx.numpy_helper.to_array(values[zero])
        made = f"{scale}_signed", f"{zero}_signed"
        wide = np.asarray(signed_scale(scales, zeros), np.float32)
        for name, value in zip(made, (wide, np.zeros((), np.int8)), strict=True):
            graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        done[scale, zero] = made
    node.input[1], node.input[2] = done[scale, zero]
    del node.attribute[:]  # the axis of scales per channel


def signed_scale(scales: np.ndarray, zeros: np.ndarray) -> float:
    """The scale of -127 to 127 that covers what these scales and zero points cover."""
    if zeros.dtype == np.int8:
        lowest, highest = -128.0 - zeros, MOST_POSITIVE - zeros
        lowest = np.where(zeros == 0, -MOST_POSITIVE, lowest)
    else:
        lowest, highest = -zeros.astype(np.float64), UNSIGNED_STEPS - zeros
    reach = np.maximum(np.abs(lowest), np.abs(highest)) * scales
    return float(reach.max() / MOST_POSITIVE)


def find(weights: Path, size: Size) -> bytes:
    """The network quantised from a weights file for a padded input size.

    Raises:
        ArgumentError: none lies beside the weights; says which do, and how to make one.
    """
    wanted = Quantised(fingerprint(weights), size)
    others = []
    for path in sorted(weights.parent.glob("*.onnx")):
        content = path.read_bytes()
        about = describe(content)
        if about == wanted:
            return content
        if about is not None and about.weights == wanted.weights:
            others.append(f"{path.name} is for {about.size[0]}x{about.size[1]}")
    found = f" ({', '.join(others)})" if others else ""
    text = f"{size[0]}x{size[1]}"
    out = weights.with_name(f"{weights.stem}-int8-{text}.onnx")
    raise ArgumentError(
        f"precision int8 needs {weights.name} quantised for {text} beside it, and none is in "
        f"{weights.parent}{found}; run python -m bisenet_ros export {out} --weights {weights} "
        f"--size {text} --int8 --tensorrt --calibrate DIR, or pass precision:=fp16"
    )


def describe(content: bytes) -> Quantised | None:
    """What an ONNX file was quantised for; None if it is another kind of file.

    Reads the metadata without the package onnx, which robots rarely have.
    """
    try:
        for number, value in _fields(content):
            entry = dict(_fields(value)) if number == PROPERTIES else {}
            if entry.get(KEY) == ENTRY.encode():
                about = json.loads(entry[VALUE])
                height, width = about["size"]
                return Quantised(str(about["weights"]), (int(height), int(width)))
    except (IndexError, KeyError, OverflowError, TypeError, ValueError):
        return None
    return None


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """Number and content of a protobuf message's fields that are messages, strings or bytes.

    Raises:
        ValueError, IndexError: these bytes are not a message.
    """
    found, place = [], 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == 0:
            _, place = _varint(message, place)
        elif kind == 2:
            length, place = _varint(message, place)
            if place + length > len(message):
                raise ValueError("a field ends after the message")
            found.append((tag >> 3, message[place : place + length]))
            place += length
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
    return found


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
