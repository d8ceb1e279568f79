"""Memory of frames on their way: kept per camera size, never more than a bounded number of sizes.

Who owns what: ``staging`` (pinned), ``raw`` and ``out`` (on the GPU) belong to a slot and are used
again by the slot's next batch. What a caller gets lies in pinned memory of its own, from PyTorch's
caching allocator for it: it stays as it is for as long as the caller keeps any of the arrays, and
is used again, without a call to the driver, when the last of them is dropped.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from bisenet_ros.inference.cuda.plain import ClassifyOutputs
from bisenet_ros.inference.cuda.streams import Mark
from bisenet_ros.inference.cuda.tables import Grid
from bisenet_ros.networks.layers import round_up

MAX_SIZES = 8  # camera sizes a slot keeps memory for
ALIGNMENT = 16  # bytes; Triton compiles anew for a pointer that is aligned less

Size = tuple[int, int]


class FrameBuffers:
    """What one camera image needs from host memory and back.

    Args:
        size: (height, width) of the image.
        fit: from the image to the network's input.
        spread: from the logits to the image.
        device: of the network; on the CPU nothing is pinned.
    """

    def __init__(self, size: Size, fit: Grid, spread: Grid, device: torch.device) -> None:
        self.size, self.fit, self.spread = size, fit, spread
        self.pinned = device.type == "cuda"
        self.staging = torch.empty(*size, 3, dtype=torch.uint8, pin_memory=self.pinned)
        self.raw = torch.empty(*size, 3, dtype=torch.uint8, device=device)
        self.plane = round_up(size[0] * size[1], ALIGNMENT)
        # mask | overlay | confidence, or mask | confidence: what is wanted lies in one piece
        self.out = torch.empty(5 * self.plane, dtype=torch.uint8, device=device)

    def stage(self, image: np.ndarray) -> None:
        """Copy an image of any strides into pinned memory, from where the GPU can fetch it."""
        np.copyto(self.staging.numpy(), image)

    def upload(self) -> None:
        """Send the staged image to the GPU, on the current stream."""
        self.raw.copy_(self.staging, non_blocking=True)

    def outputs(self, confidence: bool, overlay: bool) -> ClassifyOutputs:
        """Where the kernels write, on the GPU."""
        return self._views(self.out, confidence, overlay)

    def download(self, confidence: bool, overlay: bool) -> ClassifyOutputs:
        """Fetch what was written, in one copy on the current stream, to memory of its own."""
        wanted = self.plane * (1 + confidence + 3 * overlay)
        host = torch.empty(wanted, dtype=torch.uint8, pin_memory=self.pinned)
        host.copy_(self.out[:wanted], non_blocking=True)
        return self._views(host, confidence, overlay)

    def _views(self, block: Tensor, confidence: bool, overlay: bool) -> ClassifyOutputs:
        height, width = self.size
        pixels, start = height * width, self.plane
        mask, likely, picture = block[:pixels].view(height, width), None, None
        if overlay:
            picture = block[start : start + 3 * pixels].view(height, width, 3)
            start += 3 * self.plane
        if confidence:
            likely = block[start : start + pixels].view(height, width)
        return ClassifyOutputs(mask, likely, picture)


class Slot:
    """The buffers of one batch under way; two slots let one batch upload while one computes.

    Args:
        make: builds the buffers of a camera size.
    """

    def __init__(self, make: Callable[[Size], FrameBuffers]) -> None:
        self.make = make
        self.done: Mark | None = None  # when the last batch no longer needs the buffers
        self.kept: OrderedDict[Size, list[FrameBuffers]] = OrderedDict()

    def take(self, sizes: Sequence[Size]) -> list[FrameBuffers]:
        """Buffers for a batch, one an image; the last batch must be done with them.

        Sizes used longest ago are given up where there are more than ``MAX_SIZES``.
        """
        for size, count in Counter(sizes).items():
            pile = self.kept.setdefault(size, [])
            self.kept.move_to_end(size)
            while len(pile) < count:
                pile.append(self.make(size))
        while len(self.kept) > max(MAX_SIZES, len(set(sizes))):
            self.kept.popitem(last=False)
        piles = {size: iter(self.kept[size]) for size in set(sizes)}
        return [next(piles[size]) for size in sizes]
