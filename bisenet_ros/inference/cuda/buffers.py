"""Buffers of frames in flight: kept per camera size, for a bounded number of sizes.

Ownership: ``staging`` (pinned), ``raw`` and ``out`` (on the GPU) belong to a slot and are reused
by the slot's next batch. Callers get results in separate pinned memory from PyTorch's caching
allocator: it is unchanged as long as the caller keeps any of the arrays, and is reused, without a
driver call, once the last of them is dropped.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bisenet_ros.inference.cuda.plain import ClassifyOutputs
from bisenet_ros.inference.cuda.streams import Mark
from bisenet_ros.inference.cuda.tables import Grid
from bisenet_ros.networks.layers import round_up

MAX_SIZES = 8  # layouts a slot keeps memory for
ALIGNMENT = 16  # bytes; Triton recompiles for pointers with a smaller alignment

Size = tuple[int, int]


class Layout(NamedTuple):
    """Sizes and orientation of a frame; frames that share one can use the same buffers.

    Attributes:
        size: (height, width) of the image.
        out: of the outputs.
        turns: clockwise quarter turns that put the image upright.
    """

    size: Size
    out: Size
    turns: int


class FrameBuffers:
    """The host and GPU buffers of one camera image.

    Args:
        layout: of the frame.
        resize: the grid from the image to the network's input.
        upsample: the grid from the logits to the outputs.
        shrink: the grid from the image to the outputs, None where they have the same size.
        device: of the network; on the CPU no memory is pinned.
    """

    def __init__(
        self,
        layout: Layout,
        resize: Grid,
        upsample: Grid,
        shrink: Grid | None,
        device: torch.device,
    ) -> None:
        self.layout, self.resize, self.upsample, self.shrink = layout, resize, upsample, shrink
        size = layout.size
        self.pinned = device.type == "cuda"
        self.staging = torch.empty(*size, 3, dtype=torch.uint8, pin_memory=self.pinned)
        self.raw = torch.empty(*size, 3, dtype=torch.uint8, device=device)
        # The image at the outputs' size, for the overlay.
        self.small = self.raw if shrink is None else self.raw.new_empty((*layout.out, 3))
        self.plane = round_up(layout.out[0] * layout.out[1], ALIGNMENT)
        # mask | overlay | confidence, or mask | confidence: requested outputs are contiguous
        self.out = torch.empty(5 * self.plane, dtype=torch.uint8, device=device)

    def stage(self, image: np.ndarray) -> None:
        """Copy an image of any strides into pinned memory, ready for upload."""
        np.copyto(self.staging.numpy(), image)

    def upload(self) -> None:
        """Send the staged image to the GPU, on the current stream."""
        self.raw.copy_(self.staging, non_blocking=True)

    def outputs(self, confidence: bool, overlay: bool) -> ClassifyOutputs:
        """The output arrays on the GPU, which the kernels write to."""
        return self._views(self.out, confidence, overlay)

    def download(self, confidence: bool, overlay: bool) -> ClassifyOutputs:
        """Download the outputs to new host memory, in one copy on the current stream."""
        length = self.plane * (1 + confidence + 3 * overlay)
        host = torch.empty(length, dtype=torch.uint8, pin_memory=self.pinned)
        host.copy_(self.out[:length], non_blocking=True)
        return self._views(host, confidence, overlay)

    def _views(self, block: Tensor, confidence: bool, overlay: bool) -> ClassifyOutputs:
        height, width = self.layout.out
        pixels, start = height * width, self.plane
        mask, confidence_map, overlay_image = block[:pixels].view(height, width), None, None
        if overlay:
            overlay_image = block[start : start + 3 * pixels].view(height, width, 3)
            start += 3 * self.plane
        if confidence:
            confidence_map = block[start : start + pixels].view(height, width)
        return ClassifyOutputs(mask, confidence_map, overlay_image)


class Slot:
    """The buffers of one batch in flight; with two slots, one batch uploads while one computes.

    Args:
        make: allocates the buffers for a layout.
    """

    def __init__(self, make: Callable[[Layout], FrameBuffers]) -> None:
        self.make = make
        self.done: Mark | None = None  # when the last batch no longer needs the buffers
        self.kept: OrderedDict[Layout, list[FrameBuffers]] = OrderedDict()

    def take(self, layouts: Sequence[Layout]) -> list[FrameBuffers]:
        """Buffers for a batch, one per image; the slot's last batch must be done.

        Beyond ``MAX_SIZES`` layouts, the least recently used ones are freed.
        """
        for layout, count in Counter(layouts).items():
            pile = self.kept.setdefault(layout, [])
            self.kept.move_to_end(layout)
            while len(pile) < count:
                pile.append(self.make(layout))
        while len(self.kept) > max(MAX_SIZES, len(set(layouts))):
            self.kept.popitem(last=False)
        piles = {layout: iter(self.kept[layout]) for layout in set(layouts)}
        return [next(piles[layout]) for layout in layouts]
