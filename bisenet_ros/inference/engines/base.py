"""The interfaces of an engine, which runs the network, and of the pipeline around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from bisenet_ros.checkpoints import ModelCard
    from bisenet_ros.inference.device import Compute
    from bisenet_ros.inference.export.reader import Exported
    from bisenet_ros.inference.result import OutputRequest, Result
    from bisenet_ros.networks import SegmentationNetwork

Size = tuple[int, int]  # (height, width) in pixels


class Engine(Protocol):
    """Runs a network on one device in one precision.

    Attributes:
        name: its name in ``ENGINES``.
        compute: device and precision in use.
        stride: input pixels per logit.
    """

    name: str
    compute: Compute
    stride: int

    def __call__(self, images: Tensor) -> Tensor:
        """``forward`` of ``prepare``."""

    def prepare(self, images: Tensor) -> Tensor:
        """Convert (N, H, W, 3) uint8 RGB on the CPU to network input, valid until the next call."""

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """Run the network on the output of ``prepare`` for images of ``size`` (height, width).

        Returns:
            logits (N, n, h, w) float32 on the CPU, contiguous, that cover the images; mostly
            h = height / stride and w = width / stride.
        """


class EngineInfo(Protocol):
    """Describes an engine: its name, and the device and precision in use."""

    @property
    def name(self) -> str:
        """Its name in ``ENGINES``."""

    @property
    def compute(self) -> Compute:
        """Device and precision; its ``fallback`` says what runs slower than it could, and why."""


class Pipeline(Protocol):
    """Takes a batch from camera images to results."""

    @property
    def engine(self) -> EngineInfo:
        """The engine that runs the network."""

    def __call__(
        self, images: Sequence[np.ndarray], orders: Sequence[str], requests: Sequence[OutputRequest]
    ) -> list[Result]:
        """One result per image; images (H, W, 3) uint8 in the channel order ``rgb`` or ``bgr``."""


@dataclass(frozen=True)
class RunnableModel:
    """A loaded weights file, or an exported model.

    Attributes:
        card: its card.
        stride: input pixels per logit.
        input_step: input sizes are rounded up to multiples of it.
        network: in eval mode, float32; None for an exported model.
        file: the exported model; None for a weights file.
        path: of the weights file, if it was read from one.
    """

    card: ModelCard
    stride: int
    input_step: int
    network: SegmentationNetwork | None = None
    file: Exported | None = None
    path: Path | None = None
