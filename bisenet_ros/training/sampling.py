"""The training images as one long sequence whose item k is always the same.

Order and augmentation depend only on the seed and on k. A run resumed at step s therefore sees
exactly what it would have seen, and devices divide the sequence without communicating.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from bisenet_ros.training.augmentation import RandomView, paste


class ImageLabelPairs(Protocol):
    """Images and labels by index."""

    def __len__(self) -> int:
        """How many there are."""

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """An image (H, W, 3) uint8 RGB and its ids (H, W) uint8."""


class Stream(Dataset):
    """Item k: a random view of image ``order(epoch of k)[k % n]`` and its label.

    An item is an image (3, h, w) uint8 and a label (h, w) int64, 255 where unlabelled.

    Args:
        pairs: the images and labels.
        view: the random crop.
        seed: of order and augmentation.
        donors: for each rare class, indices of the images that contain it; may be empty.
        paste_chance: probability of pasting in a rare class from another image.
    """

    def __init__(
        self,
        pairs: ImageLabelPairs,
        view: RandomView,
        seed: int,
        donors: dict[int, np.ndarray] | None = None,
        paste_chance: float = 0.0,
    ) -> None:
        self.pairs, self.view, self.seed = pairs, view, seed
        self.donors = {c: found for c, found in (donors or {}).items() if len(found)}
        self.paste_chance = paste_chance if self.donors else 0.0

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng((self.seed, k))
        epoch, place = divmod(k, len(self.pairs))
        image, label = self.pairs.read(order(len(self.pairs), self.seed, epoch)[place])
        image, label = self.view(image, label, random)
        if random.random() < self.paste_chance:
            image, label = paste((image, label), *self._donor(random))
        chw = np.ascontiguousarray(image.transpose(2, 0, 1))
        return torch.from_numpy(chw), torch.from_numpy(label.astype(np.int64))

    def _donor(
        self, random: np.random.Generator
    ) -> tuple[tuple[np.ndarray, np.ndarray], tuple[int, ...]]:
        """A view of an image that holds a rare class, near that class, and the rare classes."""
        class_id = int(random.choice(list(self.donors)))
        image, label = self.pairs.read(int(random.choice(self.donors[class_id])))
        near = RandomView(self.view.size, self.view.scale, self.view.flip, (class_id,), 1.0)
        return near(image, label, random), tuple(self.donors)


@lru_cache(maxsize=2)
def order(count: int, seed: int, epoch: int) -> list[int]:
    """The indices 0 … ``count`` − 1 as shuffled for this epoch."""
    return [int(i) for i in np.random.default_rng((seed, epoch, 0)).permutation(count)]


@dataclass
class ResumableSampler(Sampler[int]):
    """This process's items of the stream, after the first ``start`` batches.

    Attributes:
        total: batches of the whole run.
        batch: items per batch, over all processes.
        start: batches already done; ``len`` still counts them, as the training loop does.
    """

    total: int
    batch: int
    start: int = 0

    def __iter__(self) -> Iterator[int]:
        size, rank = world()
        per_process = self.batch // size
        for step in range(self.start, self.total):
            first = step * self.batch + rank * per_process
            yield from range(first, first + per_process)

    def __len__(self) -> int:
        return self.total * self.batch // world()[0]


@dataclass
class ValidationSampler(Sampler[int]):
    """This process's part of 0 … ``count`` − 1, for validation; each index goes to one process."""

    count: int

    def __iter__(self) -> Iterator[int]:
        size, rank = world()
        yield from range(rank, self.count, size)

    def __len__(self) -> int:
        size, rank = world()
        return len(range(rank, self.count, size))


def world() -> tuple[int, int]:
    """World size and rank; (1, 0) if not distributed."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size(), dist.get_rank()
    return 1, 0
