"""The common form of labelled data sets: a list of files and the meaning of their ids."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
        label: the file with its ids or colours, or with the regions drawn on it.
        regions: where in that file, or how, for formats that keep many images in one.
    """

    name: str
    image: Path
    label: Path
    regions: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class LabelledSet:
    """One split of a data set: its files, and the meaning of their ids.

    Attributes:
        labels: names and colours of the ids 0 to n−1; 255 means unlabelled.
        samples: the images, in a fixed order.
        decode: the ids of a sample, (H, W) uint8 with 255; raises DataError.
        resolution: (height, width) in pixels at which the set is usually trained and run.
        source: one sentence for the card of weights trained on it.
        licence: of the images and labels, if known.
        split: name of the split.
        resize_masks: whether a mask of an exact fraction or multiple of its image's size is resized
            to it; otherwise it is an error.
        notes: what a reader had to assume, one sentence each.
        divided: whether this split was chosen by ``val_share``, not by the set.
        groups: where classes were grouped, each group's classes of the set on disk.
    """

    labels: LabelSet
    samples: tuple[Sample, ...]
    decode: Callable[[Sample], np.ndarray]
    resolution: tuple[int, int]
    source: str
    licence: str
    split: str
    resize_masks: bool = False
    notes: tuple[str, ...] = ()
    divided: bool = False
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The image (H, W, 3) uint8 RGB and its ids (H, W) uint8 with 255 for unlabelled.

        Raises:
            DataError: a file is unreadable, the label contains an unknown id or colour, or the
                sizes differ; the file and the id are named.
        """
        sample = self.samples[index]
        image = read_rgb(sample.image)
        return image, self.fitted(sample, self.decode(sample), image.shape[:2])

    def fitted(self, sample: Sample, ids: np.ndarray, image: tuple[int, ...]) -> np.ndarray:
        """The ids at the size of the image, (height, width); DataError if they cannot be."""
        if ids.shape == image:
            return ids
        resized = resized_by_whole(ids, image) if self.resize_masks else None
        if resized is None:
            raise size_mismatch(sample, ids.shape, image)
        warnings.warn(
            "masks are resized to their images by a whole factor, to the nearest id", stacklevel=2
        )
        return resized


def resized_by_whole(ids: np.ndarray, size: tuple[int, ...]) -> np.ndarray | None:
    """(H, W) ids at another size if one is an exact multiple of the other, else None.

    To grow, each pixel is repeated; to shrink, the middle one of each block is taken.
    """
    (height, width), (to_height, to_width) = ids.shape, size
    up, up_rest = divmod(to_height, height)
    if up and not up_rest and to_width == up * width:
        return ids.repeat(up, 0).repeat(up, 1)
    down, down_rest = divmod(height, to_height)
    if down and not down_rest and width == down * to_width:
        return np.ascontiguousarray(ids[down // 2 :: down, down // 2 :: down])
    return None


def size_mismatch(sample: Sample, label: tuple[int, ...], image: tuple[int, ...]) -> DataError:
    """The error for a label and an image that differ in size; both (height, width)."""
    named = f"{sample.label} is {label}, its image {sample.image.name} {image} (height, width); "
    if label == image[::-1]:
        return DataError(
            f"{named}the image carries a camera's rotation tag that the labelling tool did not "
            "obey, or one that was labelled turned: turn its pixels, remove the tag, label again"
        )
    if resized_by_whole(np.empty(label, np.uint8), image) is not None:
        return DataError(f"{named}--resize-masks takes the nearest id, or export the label again")
    return DataError(
        f"{named}expected the same size: export the label again, or resize it with nearest "
        "neighbour"
    )
