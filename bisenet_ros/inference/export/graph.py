"""The network as other runtimes get it: bytes in, float32 logits out, one image at a fixed size."""

from __future__ import annotations

import inspect
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bisenet_ros.inference.engines.base import RunnableModel
from bisenet_ros.inference.fusion import inference_graph
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.networks.layers import pad_to_multiple

INPUT, OUTPUT = "images", "logits"
OPSET = 17  # ONNX operators; read by ONNX Runtime 1.12, OpenVINO 2022.3, TensorRT 8.6 and later


class ServedNetwork(nn.Module):
    """Normalises, pads, runs the network and cuts the padding off, all in float32.

    Args:
        network: in eval mode; it is copied, not changed.
        mean, std: of RGB images scaled to 0–1.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.stride, self.multiple = network.stride, network.multiple
        self.network = inference_graph(network).float()
        scale = 1 / (255 * torch.tensor(std, dtype=torch.float64))
        shift = -255 * torch.tensor(mean, dtype=torch.float64) * scale
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", scale.float().view(1, 3, 1, 1))
        self.register_buffer("shift", shift.float().view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(1, H, W, 3) uint8 RGB → (1, n, H / stride, W / stride) float32."""
        height, width = images.shape[1] // self.stride, images.shape[2] // self.stride
        x = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        return self.network(pad_to_multiple(x, self.multiple))[..., :height, :width]


def file_or_onnx(model: RunnableModel, size: tuple[int, int]) -> bytes | Path:
    """What a runtime reads: an exported model's path, or weights as ONNX for ``size``."""
    if model.file is not None:
        return model.file.path
    assert model.network is not None
    return to_onnx(ServedNetwork(model.network, model.card.mean, model.card.std), size)


def to_onnx(served: ServedNetwork, size: tuple[int, int]) -> bytes:
    """The network as an ONNX file for one image of ``size`` (height, width)."""
    options: dict[str, Any] = {"input_names": [INPUT], "output_names": [OUTPUT]}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False  # the newer exporter needs one package more, for the same file
    file: Any = io.BytesIO()
    example = torch.zeros(1, *size, 3, dtype=torch.uint8)
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        # The sizes are meant to be constants, which the exporter warns of line by line.
        warnings.simplefilter("ignore")
        torch.onnx.export(served, (example,), file, opset_version=OPSET, **options)
    log.setLevel(level)
    return file.getvalue()
