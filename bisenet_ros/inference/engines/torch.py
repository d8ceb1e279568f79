"""The PyTorch engine: uint8 images in, float32 logits out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bisenet_ros.errors import NonFiniteOutput
from bisenet_ros.inference.cpu import fused_conv
from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.cpu.input_encoding import PixelTable, fold_normalisation
from bisenet_ros.inference.cpu.regrouping import regroup_for_amx
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.fusion import inference_graph
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.networks.layers import channels_last, crop_padding


class TorchEngine:
    """Runs a network with batch norms and normalisation folded, in the channels-last layout.

    Args:
        network: in eval mode; copied, not changed.
        mean, std: of RGB images scaled to 0–1, as the network expects them normalised.
        compute: device and precision.
    """

    name = "torch"
    fuses = True  # False where a compiler does the fusion

    def __init__(
        self,
        network: SegmentationNetwork,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        compute: Compute,
    ) -> None:
        self.compute = compute
        self.stride, self.multiple = network.stride, network.multiple
        folded = fold_normalisation(inference_graph(network), mean, std)
        if compute.device.type == "cpu":
            regroup_for_amx(folded, compute.precision)
        self.network: nn.Module = folded.to(compute.device, compute.dtype)
        if not all(bool(torch.isfinite(p).all()) for p in self.network.parameters()):
            raise NonFiniteOutput(
                f"its tensors overflow in {compute.precision}; pass precision fp32 or other weights"
            )
        channels_last(self.network)
        if self.fuses and compute.device.type == "cpu" and fused_conv.available(compute.dtype):
            fused_conv.fuse(self.network)
        self._table = PixelTable(mean, compute.dtype)
        self._buffers = Buffers()

    def __call__(self, images: Tensor) -> Tensor:
        """Logits of images.

        Args:
            images: (N, H, W, 3) uint8 RGB on the CPU; H and W multiples of the network's
                ``input_step``.

        Returns:
            (N, n, *logits_size) float32 on the CPU, contiguous.
        """
        return self.forward(self.prepare(images), (images.shape[1], images.shape[2]))

    def prepare(self, images: Tensor) -> Tensor:
        """The network's input for (N, H, W, 3) uint8 RGB; valid until the next call."""
        x = self._table.look_up(images.numpy(), self.multiple, self._buffers)
        return x.to(self.compute.device, non_blocking=True)

    @torch.inference_mode()
    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits of what :meth:`prepare` returned for images of ``size`` (height, width)."""
        logits = self.network(x)
        covering = crop_padding(logits, size, (x.shape[2], x.shape[3]))
        # Upsampling in 16 bit would flip near ties: 0.3 % of the pixels.
        return covering.to("cpu", torch.float32).contiguous()
