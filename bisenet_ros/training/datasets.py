"""Labelled images on disk, as pairs of arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED, LabelSet

CAMVID = LabelSet(
    names=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    colours=(
        (70, 130, 180),
        (70, 70, 70),
        (153, 153, 153),
        (128, 64, 128),
        (244, 35, 232),
        (107, 142, 35),
        (220, 220, 0),
        (190, 153, 153),
        (0, 0, 142),
        (220, 20, 60),
        (119, 11, 32),
    ),
)
CAMVID_UNLABELLED = 11  # the id that the SegNet re-labelling gives to void

View = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class CamVid(Dataset):
    """CamVid in the SegNet layout: ``root/split/{images,labels}/NAME.png``.

    An item is an image (3, H, W) uint8 RGB and its label (H, W) int64, ids 0–10 and 255.

    Args:
        root: the folder that holds the splits.
        split: ``train``, ``val``, or any other folder of that layout.
        view: applied to each pair as (H, W, 3) and (H, W) uint8 arrays; see ``augmentation``.

    Raises:
        DataError: a folder or a label is missing, a file is unreadable, sizes differ, or a label
            holds an id that is not one of CamVid's; the file and the id are named.
    """

    labels = CAMVID
    resolution = (360, 480)
    source = "CamVid train, SegNet re-labelling: 367 images, 480×360, 11 classes"
    licence = "CC BY-NC 4.0 (images Brostow, Fauqueur, Cipolla 2008; labels Kendall et al.)"

    def __init__(self, root: str | Path, split: str, view: View | None = None) -> None:
        self.view = view
        folder = Path(root) / split
        images = sorted((folder / "images").glob("*.png"))
        if not images:
            raise DataError(f"{folder / 'images'} holds no PNG images; expected CamVid's {split}")
        # The whole set is 250 MB; keeping it decoded leaves the CPU to the network.
        self.pairs = [_read_pair(image, folder / "labels" / image.name) for image in images]
        self.names = [image.name for image in images]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, label = self.pairs[index]
        if self.view is not None:
            image, label = self.view(image, label)
        chw = np.ascontiguousarray(image.transpose(2, 0, 1))
        return torch.from_numpy(chw), torch.from_numpy(label.astype(np.int64))

    def class_shares(self) -> np.ndarray:
        """(n,) float64: each class's share of the labelled pixels."""
        counts = np.zeros(256, np.int64)
        for _, label in self.pairs:
            counts += np.bincount(label.reshape(-1), minlength=256)
        kept = counts[: len(self.labels)]
        return kept / kept.sum()


def _read_pair(image_path: Path, label_path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = cv2.imread(str(image_path), cv2.IMREAD_COLOR)
    label = cv2.imread(str(label_path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DataError(f"{image_path} cannot be read as an image")
    if label is None:
        raise DataError(f"{label_path} is missing or unreadable; each image needs a label")
    if label.shape != image.shape[:2]:
        raise DataError(
            f"{label_path} is {label.shape}, its image {image.shape[:2]} (height, width)"
        )
    label = np.where(label == CAMVID_UNLABELLED, UNLABELLED, label).astype(np.uint8)
    stray = sorted(set(np.unique(label)) - set(range(len(CAMVID))) - {UNLABELLED})
    if stray:
        raise DataError(f"{label_path} holds id {stray[0]}; CamVid's ids are 0 to 11")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), label
