"""The interfaces around an engine: what runs a network, and the pipeline that feeds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from bisenet_ros.checkpoints import ModelCard
    from bisenet_ros.inference.device import Compute
    from bisenet_ros.inference.export.reader import Exported
    from bisenet_ros.inference.result import Result, Wanted
    from bisenet_ros.networks import SegmentationNetwork

Size = tuple[int, int]  # (height, width) in pixels


class Engine(Protocol):
    """Runs a network on one device in one precision.

    Attributes:
        name: its name in ``ENGINES``.
        compute: device and precision in force.
        stride: input pixels per logit.
    """

    name: str
    compute: Compute
    stride: int

    def __call__(self, images: Tensor) -> Tensor:
        """``forward`` of ``prepare``."""

    def prepare(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB on the CPU as the network takes it; valid until the next call."""

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """What ``prepare`` made of images of ``size`` (height, width) → logits.

        Returns:
            (N, n, height / stride, width / stride) float32 on the CPU, contiguous.
        """


class EngineInfo(Protocol):
    """Describes an engine: its name, and the device and precision in force."""

    @property
    def name(self) -> str:
        """Its name in ``ENGINES``."""

    @property
    def compute(self) -> Compute:
        """Its ``fallback`` says what is slower than it could be here, and why."""


class Pipeline(Protocol):
    """Takes a batch from camera images to results."""

    @property
    def engine(self) -> EngineInfo:
        """What runs the network."""

    def __call__(
        self, images: Sequence[np.ndarray], orders: Sequence[str], wanted: Sequence[Wanted]
    ) -> list[Result]:
        """One result per image; images (H, W, 3) uint8 in the channel order ``rgb`` or ``bgr``."""


@dataclass(frozen=True)
class RunnableModel:
    """A loaded weights file, or an exported model.

    Attributes:
        card: its card.
        stride: input pixels per logit.
        network: in eval mode, float32; None for an exported model.
        file: the exported model; None for a weights file.
    """

    card: ModelCard
    stride: int
    network: SegmentationNetwork | None = None
    file: Exported | None = None
