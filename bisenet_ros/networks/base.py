"""The interface that every network of this package implements for training and inference."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound="SegmentationNetwork")


class TrainingOutput(NamedTuple):
    """What a network with auxiliary heads returns in training mode.

    Attributes:
        logits: (N, n, H / stride, W / stride).
        auxiliary: logits (N, n, h, w) of each auxiliary head, each at its own size.
    """

    logits: Tensor
    auxiliary: tuple[Tensor, ...]


class SegmentationNetwork(nn.Module):
    """Normalised images (N, 3, H, W) in, logits (N, n, H / stride, W / stride) out.

    ``forward`` calls :meth:`check_size` first and has no other control flow that depends on its
    input, so that ``torch.fx`` can trace it.

    Attributes:
        architecture: its name in ``networks.NETWORKS``, which a model card carries.
        stride: input pixels per logit.
        multiple: H and W must be multiples of it.
        config: the frozen dataclass it was built from; plain values, with the fields
            ``num_classes`` and ``auxiliary`` (whether the auxiliary heads are built) at least.
        head_prefixes: name prefixes of the segmentation heads; recipes may train them with a
            higher learning rate.
        auxiliary_prefixes: name prefixes of the modules used in training only.
        auxiliary_weight: the paper's weight of each auxiliary loss.
        smallest_batch: minimum batch size in training; 2 where a batch norm follows global
            pooling, since a single image would give it one value per channel.
        one_more_than: if given, H and W may also be one more than multiples of it.
        aligned: whether logits always come at (H / stride, W / stride). Some published networks
            round differently inside, see :meth:`logits_size`; images must then not be padded, since
            the logits of the padding could not be cut off.
    """

    architecture: str
    stride: int
    multiple: int
    config: Any
    head_prefixes: tuple[str, ...] = ("head", "aux")
    auxiliary_prefixes: tuple[str, ...] = ("aux",)
    auxiliary_weight: float = 1.0
    smallest_batch: int = 1
    one_more_than: int | None = None
    aligned: bool = True

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        """Logits; in training mode, where there are auxiliary heads, a :class:`TrainingOutput`."""

    def check_size(self, images: Tensor) -> None:
        """Raise ValueError unless height and width are positive multiples of ``multiple``."""
        check_size(images, self.multiple, type(self).__name__, self.one_more_than)

    def check_batch(self, images: Tensor) -> None:
        """Raise ValueError in training mode on a batch of fewer than ``smallest_batch`` images."""
        if self.training and images.shape[0] < self.smallest_batch:
            raise ValueError(
                f"{type(self).__name__} got a training batch of {images.shape[0]}; expected at "
                f"least {self.smallest_batch} images, since a batch norm follows global pooling: "
                "raise the batch size"
            )

    @property
    def input_step(self) -> int:
        """Input sizes are rounded up to multiples of it, and padded to ``multiple`` if it is less.

        It is the stride, or ``multiple`` where padding must be avoided.
        """
        return self.stride if self.aligned else self.multiple

    def logits_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the logits that cover images of ``size``, multiples of ``input_step``.

        Raises:
            ValueError: the images are too small for this network.
        """
        if self.aligned:
            return size[0] // self.stride, size[1] // self.stride
        with torch.device("meta"), torch.no_grad():  # shapes only, nothing is computed
            network = type(self)(replace(self.config, auxiliary=False)).eval()
            logits = network(torch.empty(1, 3, *size))
        assert isinstance(logits, Tensor)
        return logits.shape[2], logits.shape[3]

    def output_convolutions(self) -> tuple[str, ...]:
        """Names of the convolutions that put out class logits, auxiliary ones included.

        They are the heads' convolutions with as many channels as classes and no batch norm behind.
        """
        heads, modules = self.head_prefixes + self.auxiliary_prefixes, dict(self.named_modules())
        return tuple(
            name
            for name, module in modules.items()
            if isinstance(module, nn.Conv2d)
            and module.out_channels == self.config.num_classes
            and name.split(".")[0].startswith(heads)
            and f"{name.rpartition('.')[0]}.bn" not in modules
        )

    def for_inference(self: Network) -> Network:
        """A copy in eval mode without the auxiliary heads, on the same device in the same type."""
        network = type(self)(replace(self.config, auxiliary=False))
        network.to(next(self.parameters()))
        state = {
            name: tensor
            for name, tensor in self.state_dict().items()
            if not name.startswith(self.auxiliary_prefixes)
        }
        network.load_state_dict(state)
        return network.eval()


@torch.fx.wrap  # a single node in the traced graph
def check_size(images: Tensor, multiple: int, name: str, one_more_than: int | None = None) -> None:
    """See :meth:`SegmentationNetwork.check_size`.

    With ``one_more_than``, one pixel more than a multiple of that is right, too.
    """
    height, width = images.shape[-2:]
    for side in (height, width):
        aligned = one_more_than is not None and side % one_more_than == 1
        if not side or (side % multiple and not aligned):
            also = f" or one more than multiples of {one_more_than}" if one_more_than else ""
            raise ValueError(
                f"{name} got images of {height}×{width} (height × width); "
                f"both must be multiples of {multiple}{also}: pad them first"
            )
