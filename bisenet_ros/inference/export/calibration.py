"""Reads a folder of labelled images, and scores masks against them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED
from bisenet_ros.metrics.confusion import Scores, confusion_matrix, scores

SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class LabelledPair:
    """One image on disk and its label; ``read`` loads the pixels."""

    image: Path
    label: Path

    def read(self, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
        """The image (H, W, 3) uint8 RGB and its ids (H, W) uint8.

        Ids outside the classes of the weights become unlabelled, since data sets use several
        ids for void.

        Raises:
            DataError: a file is unreadable, or the sizes differ.
        """
        image = _pixels(self.image, cv2.IMREAD_COLOR, "an image", 3)
        label = _pixels(self.label, cv2.IMREAD_UNCHANGED, "8-bit ids in one channel", 2)
        if label.shape != image.shape[:2]:
            raise DataError(
                f"{self.label} is {label.shape}, but its image is {image.shape[:2]} (H, W); "
                "expected the same size"
            )
        ids = np.where(label < num_classes, label, UNLABELLED).astype(np.uint8)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), ids


def _pixels(path: Path, flags: int, what: str, axes: int) -> np.ndarray:
    """The file's uint8 pixels; DataError unless it can be read and has ``axes`` dimensions."""
    array = cv2.imread(str(path), flags)
    if array is None or array.ndim != axes or array.dtype != np.uint8:
        raise DataError(f"{path} cannot be read as {what}")
    return array


def labelled_images(folder: Path) -> list[LabelledPair]:
    """The pairs in ``folder/images`` and ``folder/labels``, sorted by name.

    Raises:
        DataError: there are fewer than two images, or one has no label.
    """
    images = folder / "images"
    if not images.is_dir():
        raise DataError(f"{folder} has no images/; expected images/NAME and labels/NAME.png")
    paths = sorted(path for path in images.iterdir() if path.suffix.lower() in SUFFIXES)
    pairs = [LabelledPair(path, folder / "labels" / f"{path.stem}.png") for path in paths]
    for pair in pairs:
        if not pair.label.is_file():
            raise DataError(f"{pair.label} is missing; each image in {images} needs a label")
    if len(pairs) < 2:
        raise DataError(f"{images} has {len(pairs)} images; expected at least 2")
    return pairs


def score(
    segment: Callable[[np.ndarray], np.ndarray], pairs: Iterable[LabelledPair], num_classes: int
) -> Scores:
    """Scores of ``segment``, from (H, W, 3) uint8 RGB to (H, W) uint8 ids, over the pairs."""
    confusion = np.zeros((num_classes, num_classes + 1), np.int64)
    for pair in pairs:
        image, truth = pair.read(num_classes)
        confusion += confusion_matrix(truth, segment(image), num_classes)
    return scores(confusion)
