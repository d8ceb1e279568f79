"""Image bytes as the numbers a network's first convolutions take.

Networks expect (byte / 255 − mean) / std. In 16 bit that has 8 bits of fraction and rounds every
pixel; a byte less a whole number is exact. So the image goes in as byte − m with m the mean rounded
to a whole byte, and the first convolutions are scaled to match. What rounding m left over goes in
as a fourth channel that is 1 inside the image. Convolutions pad with zeros, and zero in all four
channels is just what padding with zeros is to the original: so borders are exact as well, which
folding the mean into the bias would break.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, fx, nn

from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.fusion import image_convolutions

CHANNELS = 4  # red, green, blue, 1


def take_bytes(
    network: nn.Module, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> nn.Module:
    """Make a network take the pixels of :class:`PixelTable` instead of normalised ones.

    Args:
        network: traced, in which case the convolutions that read the image are changed in place;
            any other, and one that reads its image otherwise too, gets a convolution before it,
            which costs little but rounds normalised pixels to the network's precision.
        mean, std: what its RGB input, scaled to 0–1, was to be normalised by.

    Returns:
        The network that takes (N, 4, H, W).
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
    """(3, 4) float64: the table's four channels to the three normalised ones."""
    scale = torch.tensor([255 * s for s in std], dtype=torch.float64)
    left_over = torch.tensor(whole_mean(mean)) - 255 * torch.tensor(mean, dtype=torch.float64)
    return torch.cat((torch.diag(1 / scale), (left_over / scale).view(3, 1)), 1)


def whole_mean(mean: tuple[float, float, float]) -> tuple[int, int, int]:
    """The mean in whole bytes: what the table subtracts."""
    red, green, blue = (round(255 * m) for m in mean)
    return red, green, blue


class PixelTable:
    """Looks bytes up as network input of one floating type.

    Args:
        mean: of RGB images scaled to 0–1.
        dtype: float32, float16 or bfloat16; all hold −255…255 exactly.
    """

    def __init__(self, mean: tuple[float, float, float], dtype: torch.dtype) -> None:
        values = torch.arange(256.0).view(256, 1).repeat(1, CHANNELS)
        values[:, :3] -= torch.tensor(whole_mean(mean), dtype=torch.float32)
        values[:, 3] = 1
        table = values.to(dtype)
        # OpenCV and NumPy know no bfloat16; bits are looked up as well as numbers are.
        bits = table if dtype == torch.float32 else table.view(torch.int16)
        self.dtype = dtype
        self._table = bits.numpy().reshape(1, 256, CHANNELS)

    def look_up(self, images: np.ndarray, multiple: int, buffers: Buffers) -> Tensor:
        """Network input of images, padded to multiples by repeating the last row and column.

        Args:
            images: (N, H, W, 3) uint8 RGB.
            multiple: what both sides are padded to, at the bottom and the right.
            buffers: where the result lives; it is valid until the next call.

        Returns:
            (N, 4, H', W') of the table's type, channels last in memory.
        """
        count, height, width, _ = images.shape
        tall, wide = -(-height // multiple) * multiple, -(-width // multiple) * multiple
        padded = buffers.scratch("padded", (count, tall, wide, CHANNELS), np.uint8)
        for image, place in zip(images, padded, strict=True):
            cv2.cvtColor(image, cv2.COLOR_RGB2RGBA, dst=place[:height, :width])
        padded[:, height:, :width] = padded[:, height - 1 : height, :width]
        padded[:, :, width:] = padded[:, :, width - 1 : width]
        found = buffers.scratch("found", padded.shape, self._table.dtype)
        rows = (count * tall, wide, CHANNELS)
        cv2.LUT(padded.reshape(rows), self._table, dst=found.reshape(rows))
        return torch.from_numpy(found).view(self.dtype).permute(0, 3, 1, 2)
