"""Encodes image bytes as network input without rounding, and adapts the network to it.

Networks expect (byte / 255 − mean) / std. In bfloat16, with 8 significant bits, that rounds every
pixel, while a byte minus an integer is exact. So the input is byte − m, where m is the mean rounded
to an integer, and the first convolutions are scaled to match. The remainder of the mean enters
through a fourth channel that is 1 inside the image. Zero padding of these four channels is
equivalent to zero padding of the normalised image, so borders are exact as well, which folding the
mean into the bias would break.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, fx, nn

from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.fusion import image_convolutions
from bisenet_ros.networks.layers import round_up

CHANNELS = 4  # red, green, blue, 1


def fold_normalisation(
    network: nn.Module, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> nn.Module:
    """Fold the normalisation into a network, so that it takes the output of :class:`PixelTable`.

    Args:
        network: if it is traced and only convolutions read the image, they are changed in place.
            Otherwise a 1×1 convolution is put in front, which costs little but rounds the
            normalised pixels to the network's precision.
        mean, std: of RGB images scaled to 0–1, as the network expects them normalised.

    Returns:
        The network with input (N, 4, H, W).
    """
    weight = _normalising_weight(mean, std)
    readers = image_convolutions(network) if isinstance(network, fx.GraphModule) else []
    for conv in readers:
        joined = torch.einsum("oihw,ic->ochw", conv.weight.detach().double(), weight)
        conv.weight = nn.Parameter(joined.to(conv.weight.dtype))
        conv.in_channels = CHANNELS
    if readers:
        return network
    first = nn.Conv2d(CHANNELS, 3, 1, bias=False).to(next(network.parameters()).dtype)
    first.weight = nn.Parameter(weight.view(3, CHANNELS, 1, 1).to(first.weight.dtype))
    return nn.Sequential(first, network)


def _normalising_weight(
    mean: tuple[float, float, float], std: tuple[float, float, float]
) -> Tensor:
    """(3, 4) float64: maps the table's four channels to the three normalised ones."""
    scale = torch.tensor([255 * s for s in std], dtype=torch.float64)
    remainder = torch.tensor(rounded_mean(mean)) - 255 * torch.tensor(mean, dtype=torch.float64)
    return torch.cat((torch.diag(1 / scale), (remainder / scale).view(3, 1)), 1)


def rounded_mean(mean: tuple[float, float, float]) -> tuple[int, int, int]:
    """The mean rounded to integers 0–255, which the table subtracts."""
    red, green, blue = (round(255 * m) for m in mean)
    return red, green, blue


class PixelTable:
    """A lookup table from bytes to network input of one floating dtype.

    Args:
        mean: of RGB images scaled to 0–1.
        dtype: float32, float16 or bfloat16; all represent −255…255 exactly.
    """

    def __init__(self, mean: tuple[float, float, float], dtype: torch.dtype) -> None:
        values = torch.arange(256.0).view(256, 1).repeat(1, CHANNELS)
        values[:, :3] -= torch.tensor(rounded_mean(mean), dtype=torch.float32)
        values[:, 3] = 1
        table = values.to(dtype)
        # OpenCV and NumPy do not support bfloat16, so 16-bit types are looked up as raw bits.
        bits = table if dtype == torch.float32 else table.view(torch.int16)
        self.dtype = dtype
        self._table = bits.numpy().reshape(1, 256, CHANNELS)

    def look_up(self, images: np.ndarray, multiple: int, buffers: Buffers) -> Tensor:
        """Convert images to network input, padded by repeating the last row and column.

        Args:
            images: (N, H, W, 3) uint8 RGB.
            multiple: both sides are padded to multiples of it, at the bottom and the right.
            buffers: holds the result, which is valid until the next call.

        Returns:
            (N, 4, H', W') of the table's dtype, channels last in memory.
        """
        count, height, width, _ = images.shape
        tall, wide = round_up(height, multiple), round_up(width, multiple)
        padded = buffers.scratch("padded", (count, tall, wide, CHANNELS), np.uint8)
        for image, place in zip(images, padded, strict=True):
            cv2.cvtColor(image, cv2.COLOR_RGB2RGBA, dst=place[:height, :width])
        padded[:, height:, :width] = padded[:, height - 1 : height, :width]
        padded[:, :, width:] = padded[:, :, width - 1 : width]
        encoded = buffers.scratch("encoded", padded.shape, self._table.dtype)
        rows = (count * tall, wide, CHANNELS)
        cv2.LUT(padded.reshape(rows), self._table, dst=encoded.reshape(rows))
        return torch.from_numpy(encoded).view(self.dtype).permute(0, 3, 1, 2)
