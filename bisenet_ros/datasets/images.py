"""A labelled set as a torch ``Dataset``."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bisenet_ros.datasets.base import LabelledSet
from bisenet_ros.datasets.files import in_order
from bisenet_ros.datasets.pictures import image_size

Pair = tuple[np.ndarray, np.ndarray]

KEEP = 2_000_000_000  # bytes of decoded pixels; smaller sets are cached in memory


class TrainingImages(Dataset[tuple[Tensor, Tensor]]):
    """The images of a set: items are (3, H, W) uint8 RGB and labels (H, W) int64 with 255.

    Sets of up to ``keep`` bytes (4 per pixel) are decoded once, here: that leaves the CPU to the
    network, and forked loader processes share the memory. Larger sets are read on demand.

    Args:
        labelled: the set.
        keep: the limit in bytes; 0 disables the cache.

    Raises:
        DataError: a file is broken; raised here for a cached set, otherwise on reading.
    """

    def __init__(self, labelled: LabelledSet, keep: int = KEEP) -> None:
        self.labelled = labelled
        self.pairs = _decoded(labelled, keep)  # None if not cached

    def __len__(self) -> int:
        return len(self.labelled)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, label = self.read(index)
        chw = np.ascontiguousarray(image.transpose(2, 0, 1))
        return torch.from_numpy(chw), torch.from_numpy(label.astype(np.int64))

    def read(self, index: int) -> Pair:
        """The pair as arrays, see ``LabelledSet.read``; the caller must not write to them."""
        return self.labelled.read(index) if self.pairs is None else self.pairs[index]


def _decoded(labelled: LabelledSet, keep: int) -> list[Pair] | None:
    """Every pair of the set, or None if they take more than ``keep`` bytes."""
    height, width = image_size(labelled.samples[0].image)
    if len(labelled) * height * width * 4 > keep:
        return None
    pairs: list[Pair] = []
    held = 0
    for image, label in in_order(labelled.read, len(labelled)):
        held += image.nbytes + label.nbytes
        if held > keep:  # the first image was smaller than the others
            return None
        pairs.append((image, label))
    return pairs
