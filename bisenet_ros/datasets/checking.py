"""Checks a whole data set before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bisenet_ros.datasets.base import LabelledSet
from bisenet_ros.datasets.files import in_order
from bisenet_ros.datasets.pictures import check_whole, image_size, read_rgb
from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED, LabelSet


@dataclass(frozen=True)
class Checked:
    """Statistics of a data set.

    Attributes:
        labels: its classes.
        images: how many images there are.
        counts: (n,) int64 pixels of each class.
        unlabelled: pixels without a class.
        holds: (images, n) bool: which classes each image contains, in the set's order.
        sizes: how many images have each (height, width).
    """

    labels: LabelSet
    images: int
    counts: np.ndarray
    unlabelled: int
    holds: np.ndarray
    sizes: dict[tuple[int, int], int]

    @property
    def shares(self) -> np.ndarray:
        """(n,) float64: each class's share of the labelled pixels."""
        return self.counts / self.counts.sum()

    @property
    def absent(self) -> tuple[str, ...]:
        """Names of the classes without a pixel; they cannot be learnt or scored."""
        return tuple(
            name for name, count in zip(self.labels.names, self.counts, strict=True) if not count
        )

    def images_with(self, class_id: int) -> np.ndarray:
        """(k,) indices of the images that contain the class."""
        return np.flatnonzero(self.holds[:, class_id])


def check(
    labelled: LabelledSet,
    on_progress: Callable[[int], None] | None = None,
    workers: int = 0,
    whole: bool = False,
) -> Checked:
    """Read every label and the size of every image.

    Args:
        labelled: the set.
        on_progress: called with the number of images checked so far, after each.
        workers: threads; 0 for one per core, up to 8.
        whole: also decode every image, which finds those that are cut off.

    Raises:
        DataError: names the first file that is missing, unreadable, of a different size than its
            counterpart, or contains an unlisted id; or no pixel is labelled at all.
    """
    n = len(labelled.labels)
    counts = np.zeros(256, np.int64)
    holds = np.zeros((len(labelled), n), bool)
    sizes: Counter[tuple[int, int]] = Counter()
    found = in_order(lambda index: _check_one(labelled, index, whole), len(labelled), workers)
    for done, (pixels, size) in enumerate(found, 1):
        counts += pixels
        holds[done - 1] = pixels[:n] > 0
        sizes[size] += 1
        if on_progress is not None:
            on_progress(done)
    if not holds.any():
        raise DataError(
            f"none of the {len(labelled)} labels of {labelled.split} has a labelled pixel; "
            f"expected some of {n} classes: is this a split whose labels are withheld?"
        )
    return Checked(
        labels=labelled.labels,
        images=len(labelled),
        counts=counts[:n],
        unlabelled=int(counts[UNLABELLED]),
        holds=holds,
        sizes=dict(sizes.most_common()),
    )


def _check_one(
    labelled: LabelledSet, index: int, whole: bool
) -> tuple[np.ndarray, tuple[int, int]]:
    """Pixels of each id (256,) and (height, width) of one image."""
    sample = labelled.samples[index]
    if whole:
        check_whole(sample.image)
    ids = labelled.decode(sample)
    size = image_size(sample.image)
    # The EXIF rotation is applied only on decoding, which is slow: decode only if the sizes in
    # the headers differ.
    if size != ids.shape and (size := read_rgb(sample.image).shape[:2]) != ids.shape:
        ids = labelled.fitted(sample, ids, size)
    return np.bincount(ids.reshape(-1), minlength=256), size
