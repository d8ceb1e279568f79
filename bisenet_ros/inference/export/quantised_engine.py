"""Runs a network quantised for TensorRT on the CPU, to score it where there is no TensorRT."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bisenet_ros.checkpoints import ModelCard
from bisenet_ros.inference.cpu.pipeline import CpuPipeline
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.engines.onnx_runtime import open_session
from bisenet_ros.inference.export.graph import INPUT, ServedNetwork
from bisenet_ros.inference.result import OutputRequest
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.networks.layers import crop_padding


class QuantisedEngine:
    """ONNX Runtime, which computes what the scales in the graph say.

    Args:
        content: of :func:`~bisenet_ros.inference.export.quantised.quantise`.
        network, card: what it was quantised from.
    """

    name = "onnxruntime"

    def __init__(self, content: bytes, network: SegmentationNetwork, card: ModelCard) -> None:
        self.compute, self.stride = Compute(torch.device("cpu"), "int8"), network.stride
        self._served = ServedNetwork(network, card.mean, card.std)
        self._session = open_session(content, self.compute)

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N, n, h, w) float32 of images (N, H, W, 3) uint8 RGB."""
        return self.forward(self.prepare(images), (images.shape[1], images.shape[2]))

    def prepare(self, images: Tensor) -> Tensor:
        """Normalised and padded."""
        return self._served.normalised(images)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits of images of ``size``."""
        logits = torch.from_numpy(self._session.run(None, {INPUT: x.numpy()})[0])
        return crop_padding(logits, size, (x.shape[2], x.shape[3])).contiguous()


def predictor(
    content: bytes, network: SegmentationNetwork, card: ModelCard, size: tuple[int, int]
) -> Callable[[np.ndarray], np.ndarray]:
    """From an image (H, W, 3) uint8 RGB to its mask (H, W) uint8, through the quantised network.

    Args:
        content, network, card: as of :class:`QuantisedEngine`.
        size: (height, width) that images are resized to.
    """
    pipeline = CpuPipeline(QuantisedEngine(content, network, card), card.labels.palette(), size)
    return lambda image: pipeline([image], ["rgb"], [OutputRequest()])[0].mask
