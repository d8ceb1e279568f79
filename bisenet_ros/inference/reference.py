"""The reference implementation: image to class ids in plain float32 PyTorch, nothing fused."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from bisenet_ros.checkpoints import ModelCard
from bisenet_ros.errors import ArgumentError
from bisenet_ros.networks import SegmentationNetwork, upsample
from bisenet_ros.networks.layers import channels_last, crop_padding, pad_to_multiple, round_up

LARGEST_SCALE = 4.0
LARGEST_SIDE = 8192  # pixels


class Predictor:
    """Segments one image at a time; scores are measured with it.

    The network gets the same input as in the node: the uint8 image resized bilinearly to the
    input size and padded at the bottom and the right. Its logits are upsampled bilinearly to the
    image's size. With ``flip`` or several ``scales``, the softmax probabilities of all views are
    averaged.

    Args:
        network: copied, not changed; the copy has no auxiliary heads.
        card: gives mean and std of the images, and the input size.
        device: the torch device.
        size: (height, width) in pixels of the input at scale 1; None for the card's resolution.
            Sides are rounded up to multiples of the network's ``input_step``, as in the Segmenter.
        flip: also segment the mirrored image.
        scales: factors on ``size``; one view each.

    Attributes:
        sizes: (height, width) of the input, one per scale.

    Raises:
        ArgumentError: there are no scales, one is not above 0 and at most 4, or one makes the
            input too large.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        card: ModelCard,
        device: str | torch.device = "cpu",
        size: tuple[int, int] | None = None,
        flip: bool = False,
        scales: Sequence[float] = (1.0,),
    ) -> None:
        self.device = torch.device(device)
        self.network = network.for_inference().float().to(self.device)
        channels_last(self.network)
        self.mean = torch.tensor(card.mean, device=self.device).view(1, 3, 1, 1)
        self.std = torch.tensor(card.std, device=self.device).view(1, 3, 1, 1)
        self.sizes = _sizes(size or card.resolution, scales, network.input_step)
        self.flips = (False, True) if flip else (False,)

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The most probable class of each pixel; ties go to the lowest id.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            (H, W) uint8 ids.
        """
        views = [(size, flipped) for size in self.sizes for flipped in self.flips]
        # TF32 has only 10 fraction bits, and cuDNN's autotuning is not reproducible.
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            if len(views) == 1:
                scores = self._logits(image, *views[0])
            else:
                # The sum has the same argmax as the mean; adding view by view saves memory.
                scores = self._logits(image, *views[0]).softmax(1)
                for view in views[1:]:
                    scores += self._logits(image, *view).softmax(1)
        return scores.argmax(1)[0].to(torch.uint8).cpu().numpy()

    @torch.inference_mode()
    def logits(self, image: np.ndarray) -> np.ndarray:
        """The logits of each pixel at the first scale, not mirrored.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            (n, H, W) float32.
        """
        return self._logits(image, self.sizes[0], False)[0].cpu().numpy()

    def _logits(self, image: np.ndarray, size: tuple[int, int], flipped: bool) -> Tensor:
        """Logits (1, n, H, W) float32 of the image at input size ``size``, mirrored if asked."""
        x = self._input(image, size)
        x = x.flip(3) if flipped else x
        padded = pad_to_multiple(x, self.network.multiple)
        logits = crop_padding(self.network(padded), size, (padded.shape[2], padded.shape[3]))
        logits = logits.flip(3) if flipped else logits
        return upsample(logits, (image.shape[0], image.shape[1]))

    def _input(self, image: np.ndarray, size: tuple[int, int]) -> Tensor:
        """(1, 3, h, w) float32, normalised, channels last in memory."""
        resized = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        pixels = torch.from_numpy(resized).to(self.device).permute(2, 0, 1)[None]
        return (pixels.float() / 255 - self.mean) / self.std


def _sizes(
    size: tuple[int, int], scales: Sequence[float], step: int
) -> tuple[tuple[int, int], ...]:
    """The input size (height, width) at each scale, in multiples of ``step``."""
    if not scales or not all(math.isfinite(s) and 0 < s <= LARGEST_SCALE for s in scales):
        found = ", ".join(f"{s:g}" for s in scales) or "empty"
        raise ArgumentError(
            f"scales are {found}; expected one or more, each above 0 and at most {LARGEST_SCALE:g}"
        )
    sizes = []
    for scale in scales:
        height, width = (round_up(max(1, round(side * scale)), step) for side in size)
        if max(height, width) > LARGEST_SIDE:
            raise ArgumentError(
                f"scale {scale:g} makes the input {height}×{width} (height × width); "
                f"expected sides of at most {LARGEST_SIDE}: pass a smaller scale"
            )
        sizes.append((height, width))
    return tuple(sizes)
