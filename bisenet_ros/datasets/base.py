"""The common form of labelled data sets: a list of files and the meaning of their ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bisenet_ros.datasets.pictures import read_rgb
from bisenet_ros.errors import DataError
from bisenet_ros.labels import LabelSet


@dataclass(frozen=True)
class Sample:
    """One labelled image on disk.

    Attributes:
        name: the common part of its file names, without the set's folder, suffix or ending.
        image: the image file.
        label: the file with its ids or colours.
    """

    name: str
    image: Path
    label: Path


@dataclass(frozen=True)
class LabelledSet:
    """One split of a data set: its files, and the meaning of their ids.

    Attributes:
        labels: names and colours of the ids 0 to n−1; 255 means unlabelled.
        samples: the images, in a fixed order.
        decode: from a label file to its ids, (H, W) uint8 with 255; raises DataError.
        resolution: (height, width) in pixels at which the set is usually trained and run.
        source: one sentence for the card of weights trained on it.
        licence: of the images and labels, if known.
        split: name of the split.
    """

    labels: LabelSet
    samples: tuple[Sample, ...]
    decode: Callable[[Path], np.ndarray]
    resolution: tuple[int, int]
    source: str
    licence: str
    split: str

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The image (H, W, 3) uint8 RGB and its ids (H, W) uint8 with 255 for unlabelled.

        Raises:
            DataError: a file is unreadable, the label contains an unknown id or colour, or the
                sizes differ; the file and the id are named.
        """
        sample = self.samples[index]
        image, ids = read_rgb(sample.image), self.decode(sample.label)
        if ids.shape != image.shape[:2]:
            raise size_mismatch(sample, ids.shape, image.shape[:2])
        return image, ids


def size_mismatch(sample: Sample, label: tuple[int, ...], image: tuple[int, ...]) -> DataError:
    """The error for a label and an image that differ in size; both (height, width)."""
    return DataError(
        f"{sample.label} is {label}, its image {sample.image.name} {image} (height, width); "
        "expected the same size: export the label again, or resize it with nearest neighbour"
    )
