"""A first look at a network: one forward pass, its shapes, and the classes' shares of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from bisenet_ros.checkpoints import ModelCard
from bisenet_ros.errors import WeightsError
from bisenet_ros.inference.reference import Predictor
from bisenet_ros.networks import SegmentationNetwork

BLOCKS = (8, 16)  # rows and columns of the synthetic image's patches


@dataclass(frozen=True)
class Trial:
    """What one forward pass showed.

    Attributes:
        input_shape, logits_shape: (N, C, H, W) of what went in and came out.
        mask: (H, W) uint8 class ids of the image.
        shares: class name → share of the image's pixels, 0–1, classes without pixels left out.
    """

    input_shape: tuple[int, ...]
    logits_shape: tuple[int, ...]
    mask: np.ndarray
    shares: dict[str, float]


def try_once(network: SegmentationNetwork, card: ModelCard, image: np.ndarray) -> Trial:
    """Run a network once on (H, W, 3) uint8 RGB, at the card's resolution, on the CPU.

    Raises:
        WeightsError: the logits hold NaN or infinity.
    """
    predictor = Predictor(network, card)
    shapes: list[tuple[torch.Size, torch.Size]] = []
    finite: list[bool] = []

    def look(_module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        shapes.append((inputs[0].shape, output.shape))
        finite.append(bool(torch.isfinite(output).all()))

    hook = predictor.network.register_forward_hook(look)
    try:
        mask = predictor(image)
    finally:
        hook.remove()
    if not all(finite):
        raise WeightsError(
            f"the {card.architecture}'s logits hold NaN or infinity; expected finite numbers: its "
            "weights are damaged, or another source's"
        )
    counts = np.bincount(mask.ravel(), minlength=len(card.labels)) / mask.size
    shares = {n: float(c) for n, c in zip(card.labels.names, counts, strict=False) if c}
    return Trial(tuple(shapes[0][0]), tuple(shapes[0][1]), mask, shares)


def synthetic_image(size: tuple[int, int]) -> np.ndarray:
    """(height, width, 3) uint8 RGB: patches of colour under noise, the same every time."""
    random = np.random.default_rng(0)
    patches = random.integers(0, 256, (*BLOCKS, 3))
    rows = np.arange(size[0]) * BLOCKS[0] // size[0]
    columns = np.arange(size[1]) * BLOCKS[1] // size[1]
    noisy = patches[rows][:, columns] + random.integers(-20, 21, (*size, 3))
    return noisy.clip(0, 255).astype(np.uint8)
