"""What the readers of labelling tools' exports have in common: splits, and opening one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bisenet_ros.datasets.base import LabelledSet, Sample
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.pictures import image_size
from bisenet_ros.datasets.splitting import BY_SHARE, held_out
from bisenet_ros.errors import DataError
from bisenet_ros.labels import LabelSet

# What tools call the splits that are train, val and test here.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class AnnotatedSet:
    """A whole export: every split, no picture read yet.

    Attributes:
        format: what it is, for the card of weights: "CVAT segmentation masks".
        labels: names and colours of the ids.
        splits: the images of each split, by the split's usual name (``split_name``).
        decode: the ids (H, W) uint8 of a sample; raises DataError.
        licence: of images and labels, as far as the export says.
        resolution: (height, width) to train at; None for the first image's.
        notes: what was assumed, one sentence each.
    """

    format: str
    labels: LabelSet
    splits: Mapping[str, tuple[Sample, ...]]
    decode: Callable[[Sample], np.ndarray]
    licence: str = "not stated"
    resolution: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


def split_name(written: str) -> str:
    """The usual name of a split: ``train`` for ``Training`` and ``train2017``, and so on."""
    plain = written.strip().casefold()
    return SPLIT_NAMES.get(plain.rstrip("0123456789"), written.strip())


def open_all(found: AnnotatedSet, root: Path, options: DatasetOptions) -> dict[str, LabelledSet]:
    """Every split of an export.

    Where there is one split only, whatever the tool called it, it is divided: ``val_share`` of its
    images, chosen by ``seed``, are ``val``.

    Raises:
        ArgumentError: ``val_share`` or ``group_by`` is not as it should be.
        DataError: there are no images, or one, of which no share can be taken.
    """
    splits = {name: samples for name, samples in found.splits.items() if samples}
    if not splits:
        raise DataError(f"{root} lists no labelled images; expected {found.format}")
    divided = len(splits) == 1 and not set(splits) & {"test"}
    if divided:
        (samples,) = splits.values()
        splits = _divided(samples, options)
    return {
        name: replace(_open(found, root, name, part, options), divided=divided)
        for name, part in splits.items()
    }


def open_split(found: AnnotatedSet, root: Path, split: str, options: DatasetOptions) -> LabelledSet:
    """One split of an export; DataError if it is not there, see ``open_all``."""
    opened = open_all(found, root, options)
    wanted = split_name(split)
    if wanted in opened:
        return opened[wanted]
    if len(found.splits) == 1 and wanted in found.splits:
        return _open(found, root, wanted, found.splits[wanted], options)
    raise DataError(f"{root} has no split {split!r}; it has {', '.join(opened)}")


def _divided(samples: tuple[Sample, ...], options: DatasetOptions) -> dict[str, tuple[Sample, ...]]:
    held = held_out([sample.name for sample in samples], options)
    return {
        split: tuple(s for s in samples if (s.name in held) == (split == "val"))
        for split in BY_SHARE
    }


def _open(
    found: AnnotatedSet,
    root: Path,
    split: str,
    samples: tuple[Sample, ...],
    options: DatasetOptions,
) -> LabelledSet:
    count = len(found.labels)
    return LabelledSet(
        labels=found.labels,
        samples=samples,
        decode=found.decode,
        resolution=found.resolution or image_size(samples[0].image),
        source=f"{root.resolve().name} {split} ({found.format}): {len(samples)} images, "
        f"{count} classes",
        licence=found.licence,
        split=split,
        resize_masks=options.resize_masks,
        notes=found.notes,
    )
