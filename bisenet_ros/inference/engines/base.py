"""What every engine is to the pixels around it, and the whole way to the Segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.result import Result, Wanted


class Engine(Protocol):
    """Runs a network on one device in one precision.

    Attributes:
        name: as the parameter ``engine`` names it.
        compute: device and precision in force.
        stride: input pixels for one logit.
    """

    name: str
    compute: Compute
    stride: int

    def __call__(self, images: Tensor) -> Tensor:
        """``forward`` of ``prepare``."""

    def prepare(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB on the CPU as the network takes it; valid until the next call."""

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """What ``prepare`` made of images of ``size`` (height, width) → logits.

        Returns:
            (N, n, height / stride, width / stride) float32 on the CPU, contiguous.
        """


class Named(Protocol):
    """What tells of an engine: its name, and device and precision in force."""

    @property
    def name(self) -> str:
        """As the parameter ``engine`` names it."""

    @property
    def compute(self) -> Compute:
        """Its ``fallback`` says what is slower than it could be here, and why."""


class Path(Protocol):
    """The way of a batch, from camera images to results."""

    @property
    def engine(self) -> Named:
        """What runs the network."""

    def __call__(
        self, images: Sequence[np.ndarray], orders: Sequence[str], wanted: Sequence[Wanted]
    ) -> list[Result]:
        """One result an image; images (H, W, 3) uint8 in the channel order ``rgb`` or ``bgr``."""
