"""What a backbone hands to the network built on it."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn


class Features(NamedTuple):
    """The last feature map of each stage, named by its stride in the undilated network.

    Where dilation replaces strides, the deeper maps keep the size of the last strided one: with
    output stride 8 ``stride8``, ``stride16`` and ``stride32`` are all at 1/8.
    """

    stride4: Tensor
    stride8: Tensor
    stride16: Tensor
    stride32: Tensor


class FeatureChannels(NamedTuple):
    """How many channels each of the :class:`Features` has."""

    stride4: int
    stride8: int
    stride16: int
    stride32: int


class Backbone(nn.Module):
    """Images (N, 3, H, W), float, in; :class:`Features` out.

    Attributes:
        config: the frozen dataclass it was built from.
        channels: channels of each of the features.
        aligned: whether each map has the size of the images divided by its stride, as it has unless
            a published variant rounds up or does not pad.
    """

    config: Any
    channels: FeatureChannels
    aligned: bool = True
