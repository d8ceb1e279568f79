"""The eager PyTorch engine: uint8 pictures in, float32 logits at 1/8 out."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bisenet_ros.inference.hardware import Compute
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.networks.layers import channels_last, pad_to_multiple


class TorchEngine:
    """Runs a network with batch norms folded and channels last.

    Args:
        network: in eval mode; it is copied, not changed.
        mean, std: what the network expects its RGB input, scaled to 0–1, normalised by.
        compute: device and precision.
    """

    name = "torch"

    def __init__(
        self,
        network: SegmentationNetwork,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        compute: Compute,
    ) -> None:
        self.compute = compute
        self.stride, self.multiple = network.stride, network.multiple
        slim = network.without_boosters()
        fold_batch_norms(slim)
        self.network = slim.to(compute.device, compute.dtype)
        channels_last(self.network)
        self.mean = torch.tensor(mean, device=compute.device).view(1, 3, 1, 1)
        self.std = torch.tensor(std, device=compute.device).view(1, 3, 1, 1)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Logits of images.

        Args:
            images: (N, H, W, 3) uint8 RGB on the CPU; H and W multiples of 8.

        Returns:
            (N, n, H/8, W/8) float32 on the engine's device.
        """
        height, width = images.shape[1:3]
        x = self.normalise(images.to(self.compute.device, non_blocking=True))
        x = pad_to_multiple(x, self.multiple)
        x = x.to(self.compute.dtype).contiguous(memory_format=torch.channels_last)
        logits = self.network(x)
        # 16-bit logits upsampled in 16 bit would flip near ties: 0.3 % of the pixels.
        return logits[..., : height // self.stride, : width // self.stride].float()

    def normalise(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 to (N, 3, H, W) float32, channels last in memory."""
        return (images.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std


def fold_batch_norms(network: nn.Module) -> None:
    """Fold each batch norm that follows a convolution in a Sequential into it, in place.

    The network must be in eval mode. The result is the same function up to rounding.
    """
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        children = list(module.named_children())
        for (conv_name, conv), (bn_name, bn) in zip(children, children[1:], strict=False):
            if isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(copy.deepcopy(conv), bn))
                setattr(module, bn_name, nn.Identity())
