"""The PyTorch engine: uint8 pictures in, float32 logits at 1/8 out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bisenet_ros.inference.cpu import fused_conv as fused
from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.cpu.input_encoding import PixelTable, take_bytes
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.fusion import inference_graph
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.networks.layers import channels_last


class TorchEngine:
    """Runs a network with batch norms folded, channels last, and bytes for input.

    Args:
        network: in eval mode; it is copied, not changed.
        mean, std: what the network expects its RGB input, scaled to 0–1, normalised by.
        compute: device and precision.
    """

    name = "torch"
    fuses = True  # a compiler does better with what it knows

    def __init__(
        self,
        network: SegmentationNetwork,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        compute: Compute,
    ) -> None:
        self.compute = compute
        self.stride, self.multiple = network.stride, network.multiple
        slim = take_bytes(inference_graph(network), mean, std)
        self.network: nn.Module = slim.to(compute.device, compute.dtype)
        channels_last(self.network)
        if self.fuses and compute.device.type == "cpu" and fused.available(compute.dtype):
            fused.fuse(self.network)
        self._table = PixelTable(mean, compute.dtype)
        self._buffers = Buffers()

    def __call__(self, images: Tensor) -> Tensor:
        """Logits of images.

        Args:
            images: (N, H, W, 3) uint8 RGB on the CPU; H and W multiples of 8.

        Returns:
            (N, n, H/8, W/8) float32 on the CPU, contiguous.
        """
        return self.forward(self.prepare(images), (images.shape[1], images.shape[2]))

    def prepare(self, images: Tensor) -> Tensor:
        """The network's input for (N, H, W, 3) uint8 RGB: valid until the next call."""
        x = self._table.look_up(images.numpy(), self.multiple, self._buffers)
        return x.to(self.compute.device, non_blocking=True)

    @torch.inference_mode()
    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits of what :meth:`prepare` returned for images of ``size`` (height, width)."""
        logits = self.network(x)
        height, width = size[0] // self.stride, size[1] // self.stride
        # 16-bit logits upsampled in 16 bit would flip near ties: 0.3 % of the pixels.
        return logits[..., :height, :width].to("cpu", torch.float32).contiguous()
