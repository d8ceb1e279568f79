"""Scores of a network over a labelled data set, one image at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED, LabelSet
from bisenet_ros.metrics import boundary
from bisenet_ros.metrics.boundary import BoundaryScores
from bisenet_ros.metrics.confusion import (
    Scores,
    confusion_matrix,
    defined,
    mean,
    per_class,
    scores,
)

Predict = Callable[[np.ndarray], np.ndarray]


class NamedSample(Protocol):
    """An image of a data set; only its name is used here."""

    @property
    def name(self) -> str:
        """Its name."""


class LabelledImages(Protocol):
    """A labelled data set, such as ``bisenet_ros.datasets.LabelledSet``."""

    @property
    def labels(self) -> LabelSet:
        """Class names and colours."""

    @property
    def samples(self) -> Sequence[NamedSample]:
        """One per image, in order."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, 3) uint8 RGB and ids (H, W) uint8, 255 unlabelled."""


@dataclass(frozen=True)
class ImageScores:
    """Figures of one image, 0–1, NaN where undefined.

    Attributes:
        index, name: of the image in its set.
        height, width: in pixels.
        miou: mean IoU over the classes that occur in its truth or its mask.
        pixel_accuracy: share of its labelled pixels with the right class.
        boundary_f: mean boundary F-score over the classes with a boundary.
        boundary_tolerance: tolerance of boundary_f, in pixels.
    """

    index: int
    name: str
    height: int
    width: int
    miou: float
    pixel_accuracy: float
    boundary_f: float
    boundary_tolerance: int


@dataclass(frozen=True)
class Evaluated:
    """Results: scores over all pixels, boundaries over all images, and scores per image."""

    scores: Scores
    boundary: BoundaryScores
    images: list[ImageScores]

    def figures(self, labels: LabelSet) -> dict[str, Any]:
        """All results as JSON values; None if undefined."""
        found = self.scores
        return {
            "miou": defined(found.miou),
            "pixel_accuracy": defined(found.pixel_accuracy),
            "frequency_weighted_iou": defined(found.frequency_weighted_iou),
            "boundary_f": defined(self.boundary.mean),
            "boundary_tolerance_px": sorted({i.boundary_tolerance for i in self.images}),
            "scored": len(self.images),
            "labelled_pixels": int(found.confusion.sum()),
            "per_class": per_class(found, labels.names, boundary_f=self.boundary.f),
            "confusion": found.confusion.tolist(),
            "images": [_image_figures(image) for image in self.images],
        }


def evaluate(
    predict: Predict,
    labelled: LabelledImages,
    num_classes: int,
    on_progress: Callable[[int], None] | None = None,
) -> Evaluated:
    """Score ``predict`` on every image of a set, at the labels' own size.

    Args:
        predict: (H, W, 3) uint8 RGB → (H, W) uint8 ids, 255 for unlabelled.
        labelled: the set.
        num_classes: number of classes of the network.
        on_progress: called with the number of images done, after each.

    Raises:
        DataError: an image cannot be read, a label contains an id that the network has no class
            for, or no pixel is labelled.
    """
    confusion = np.zeros((num_classes, num_classes + 1), np.int64)
    images: list[ImageScores] = []
    edges: list[np.ndarray] = []
    for index in range(len(labelled)):
        image, truth = labelled.read(index)
        name = labelled.samples[index].name
        _check_ids(name, truth, num_classes)
        mask = predict(image)
        counts = confusion_matrix(truth, mask, num_classes)
        edges.append(boundary.boundary_f(truth, mask, num_classes))
        images.append(_image_scores(index, name, truth.shape, scores(counts), edges[-1]))
        confusion += counts
        if on_progress is not None:
            on_progress(index + 1)
    if not confusion.any():
        raise DataError(
            f"{len(labelled)} images have no labelled pixel, so there is nothing to score; "
            "expected class ids in their labels"
        )
    return Evaluated(scores(confusion), boundary.summarise(edges, num_classes), images)


def ends(images: Sequence[ImageScores], count: int) -> tuple[list[ImageScores], list[ImageScores]]:
    """Up to ``count`` of the best images, best first, and of the worst, worst first.

    No image is in both; images without a score are in neither.
    """
    ranked = sorted((i for i in images if not np.isnan(i.miou)), key=lambda i: i.miou, reverse=True)
    count = min(count, len(ranked) // 2)
    return ranked[:count], ranked[len(ranked) - count :][::-1]


def _check_ids(name: str, truth: np.ndarray, num_classes: int) -> None:
    stray = truth[(truth >= num_classes) & (truth != UNLABELLED)]
    if stray.size:
        raise DataError(
            f"the label of {name} has id {stray[0]}, but the network has {num_classes} classes: "
            f"expected 0 to {num_classes - 1}, or {UNLABELLED} for unlabelled"
        )


def _image_scores(
    index: int, name: str, shape: tuple[int, ...], found: Scores, edges: np.ndarray
) -> ImageScores:
    return ImageScores(
        index=index,
        name=name,
        height=shape[0],
        width=shape[1],
        miou=found.miou,
        pixel_accuracy=found.pixel_accuracy,
        boundary_f=mean(edges),
        boundary_tolerance=boundary.tolerance(shape),
    )


def _image_figures(image: ImageScores) -> dict[str, Any]:
    return {
        "name": image.name,
        "width": image.width,
        "height": image.height,
        "miou": defined(image.miou),
        "pixel_accuracy": defined(image.pixel_accuracy),
        "boundary_f": defined(image.boundary_f),
    }
