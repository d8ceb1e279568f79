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
from torch import Tensor, nn

from bisenet_ros.inference.cpu.buffers import Buffers

CHANNELS = 4  # red, green, blue, 1


def take_bytes(
    network: nn.Module, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> None:
    """Make a network take the pixels of :class:`PixelTable` instead of normalised ones, in place.

    Args:
        network: all its convolutions of three input channels read the image and nothing else does.
        mean, std: what its RGB input, scaled to 0–1, was to be normalised by.

    Raises:
        ValueError: no convolution reads an image.
    """
    firsts = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3]
    if not firsts:
        raise ValueError(f"{type(network).__name__} has no convolution of three input channels")
    scale = torch.tensor([255 * s for s in std], dtype=torch.float64)
    left_over = torch.tensor(whole_mean(mean)) - 255 * torch.tensor(mean, dtype=torch.float64)
    for conv in firsts:
        weight = conv.weight.detach().double() / scale.view(1, 3, 1, 1)
        ones = (weight * left_over.view(1, 3, 1, 1)).sum(1, keepdim=True)
        conv.weight = nn.Parameter(torch.cat((weight, ones), 1).to(conv.weight.dtype))
        conv.in_channels = CHANNELS


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
