"""What every network of this package is to those who run it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import nn


class SegmentationNetwork(nn.Module):
    """Normalised images (N, 3, H, W) in, logits (N, n, H / stride, W / stride) out in eval mode.

    Attributes:
        stride: input pixels for one logit.
        multiple: what H and W must be multiples of.
        options: the dataclass the network was built from.
        heads: how the names of modules begin that turn features into classes; recipes may train
            them faster than the rest.
    """

    stride: int
    multiple: int
    options: Any
    heads: tuple[str, ...] = ("head", "aux")

    @abstractmethod
    def without_boosters(self) -> SegmentationNetwork:
        """A copy in eval mode without what only training needs."""
