"""The plain way from an image to its class ids: float32 PyTorch, nothing fused, nothing guessed."""

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
from bisenet_ros.networks.layers import channels_last, pad_to_multiple

LARGEST_SCALE = 4.0
LARGEST_SIDE = 8192  # pixels


class Predictor:
    """A network, called with one image after another; what scores are measured with.

    It sees what the node's network sees: the image resized as bytes, bilinearly, to the input
    size, padded at the bottom and the right; logits brought to the image's size bilinearly. With
    ``flip`` or several ``scales`` the softmax probabilities of all views are averaged.

    Args:
        network: it is copied, not changed; its auxiliary heads are left out.
        card: tells mean and std of the images, and the input size.
        device: of torch.
        size: (height, width) in pixels of the input at scale 1; None for the card's resolution.
            Sides are rounded up to multiples of the network's stride, as the Segmenter does.
        flip: look at the mirrored image, too.
        scales: factors on ``size``; one view each.

    Attributes:
        sizes: (height, width) of the input, one for each scale.

    Raises:
        ArgumentError: a scale is not above 0 and at most 4, there is none, or one makes the input
            too large.
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
        self.sizes = _sizes(size or card.resolution, scales, network.stride)
        self.flips = (False, True) if flip else (False,)

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The likeliest class of each pixel; of equals the lowest id.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            (H, W) uint8 ids.
        """
        views = [(size, flipped) for size in self.sizes for flipped in self.flips]
        # TF32 has 10 bits of fraction, and the fastest algorithm of cuDNN is not always the same.
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            if len(views) == 1:
                likely = self._logits(image, *views[0])
            else:
                # A sum, since its largest is the mean's, built view by view to spare memory.
                likely = self._logits(image, *views[0]).softmax(1)
                for view in views[1:]:
                    likely += self._logits(image, *view).softmax(1)
        return likely.argmax(1)[0].to(torch.uint8).cpu().numpy()

    def _logits(self, image: np.ndarray, size: tuple[int, int], flipped: bool) -> Tensor:
        """(1, n, H, W) float32 of the image seen at ``size``, mirrored if asked for."""
        x = self._input(image, size)
        x = x.flip(3) if flipped else x
        logits = self.network(pad_to_multiple(x, self.network.multiple))
        stride = self.network.stride
        logits = logits[..., : size[0] // stride, : size[1] // stride]
        logits = logits.flip(3) if flipped else logits
        return upsample(logits, (image.shape[0], image.shape[1]))

    def _input(self, image: np.ndarray, size: tuple[int, int]) -> Tensor:
        """(1, 3, h, w) float32, normalised, channels last in memory."""
        fitted = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        pixels = torch.from_numpy(fitted).to(self.device).permute(2, 0, 1)[None]
        return (pixels.float() / 255 - self.mean) / self.std


def _sizes(
    size: tuple[int, int], scales: Sequence[float], stride: int
) -> tuple[tuple[int, int], ...]:
    """The input's (height, width) at each scale, in multiples of ``stride``."""
    if not scales or not all(math.isfinite(s) and 0 < s <= LARGEST_SCALE for s in scales):
        found = ", ".join(f"{s:g}" for s in scales) or "empty"
        raise ArgumentError(
            f"scales are {found}; expected one or more, each above 0 and at most {LARGEST_SCALE:g}"
        )
    sizes = []
    for scale in scales:
        height, width = (-(-max(1, round(side * scale)) // stride) * stride for side in size)
        if max(height, width) > LARGEST_SIDE:
            raise ArgumentError(
                f"scale {scale:g} makes the input {height}×{width} (height × width); "
                f"expected sides of at most {LARGEST_SIDE}: pass a smaller scale"
            )
        sizes.append((height, width))
    return tuple(sizes)
