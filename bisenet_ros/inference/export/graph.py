"""The network as exported: uint8 image in, float32 logits out, batch 1 at a fixed input size."""

from __future__ import annotations

import inspect
import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bisenet_ros.inference.cpu.regrouping import regroup_for_amx
from bisenet_ros.inference.engines.base import RunnableModel
from bisenet_ros.inference.fusion import inference_graph
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.networks.layers import crop_padding, pad_to_multiple, round_up

INPUT, OUTPUT = "images", "logits"
OPSET = 17  # ONNX operators; read by ONNX Runtime 1.12, OpenVINO 2022.3, TensorRT 8.6 and later


def interface(size: Sequence[int], logits: Sequence[int]) -> dict[str, dict[str, Any]]:
    """What goes in and what comes out, for people and programs without this package.

    Args:
        size: (height, width) of the input.
        logits: (classes, height, width) of the output.
    """
    return {
        "input": {
            "name": INPUT,
            "type": "uint8",
            "layout": "NHWC",
            "channels": "RGB",
            "shape": [1, *size, 3],
            "normalisation": "none: mean and std of the card are part of the graph",
        },
        "output": {
            "name": OUTPUT,
            "type": "float32",
            "layout": "NCHW",
            "shape": [1, *logits],
            "to_mask": "resize each class bilinearly to the image, then take the class with the "
            "highest value of each pixel",
            "to_confidence": "softmax of the resized values divided by the card's temperature",
        },
    }


class ServedNetwork(nn.Module):
    """Normalises, pads, runs the network and crops the padding, all in float32.

    Args:
        network: in eval mode; copied, not changed.
        mean, std: of RGB images scaled to 0–1.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.multiple = network.multiple
        self.network = inference_graph(network).float()
        scale = 1 / (255 * torch.tensor(std, dtype=torch.float64))
        shift = -255 * torch.tensor(mean, dtype=torch.float64) * scale
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", scale.float().view(1, 3, 1, 1))
        self.register_buffer("shift", shift.float().view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(1, H, W, 3) uint8 RGB → (1, n, *logits_size) float32."""
        # As plain numbers: the exported graph is for one size.
        height, width = int(images.shape[1]), int(images.shape[2])
        padded = round_up(height, self.multiple), round_up(width, self.multiple)
        return crop_padding(self.network(self.normalised(images)), (height, width), padded)

    def normalised(self, images: Tensor) -> Tensor:
        """(1, H, W, 3) uint8 RGB → (1, 3, h, w) float32, normalised and padded."""
        x = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        return pad_to_multiple(x, self.multiple)


class _Bare(nn.Module):
    """The folded network alone."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = inference_graph(network).float()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits


def network_onnx(network: SegmentationNetwork, size: tuple[int, int], half: bool = False) -> bytes:
    """The network alone as ONNX, for runtimes that get their input from our own kernels.

    Args:
        network: in eval mode.
        size: (height, width), multiples of the network's own.
        half: float16 instead of float32.

    Returns:
        A file whose input is normalised images (N, 3, height, width) and whose output is logits,
        of any batch size N.
    """
    axes = {INPUT: {0: "batch"}, OUTPUT: {0: "batch"}}
    dtype = torch.float16 if half else torch.float32
    example = torch.zeros(1, 3, *size, dtype=dtype)
    return _export(_Bare(network).to(dtype), example, dynamic_axes=axes)


def file_or_onnx(
    model: RunnableModel, size: tuple[int, int], precision: str = "fp32"
) -> bytes | Path:
    """The input of a runtime: an exported model's path, or the weights as ONNX for ``size``.

    Args:
        model: what to run.
        size: (height, width) of its input.
        precision: that it will run in; the ONNX is arranged for this machine's CPU.
    """
    if model.file is not None:
        return model.file.path
    assert model.network is not None
    served = ServedNetwork(model.network, model.card.mean, model.card.std)
    regroup_for_amx(served, precision)
    return to_onnx(served, size)


def to_onnx(served: ServedNetwork, size: tuple[int, int]) -> bytes:
    """The network as an ONNX file for one image of ``size`` (height, width)."""
    return _export(served, torch.zeros(1, *size, 3, dtype=torch.uint8))


def _export(module: nn.Module, example: Tensor, **more: Any) -> bytes:
    options: dict[str, Any] = {"input_names": [INPUT], "output_names": [OUTPUT], **more}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False  # the newer exporter needs another package for the same file
    file: Any = io.BytesIO()
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter warns about every size it turns into a constant, which is intended.
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (example,), file, opset_version=OPSET, **options)
    log.setLevel(level)
    return file.getvalue()
