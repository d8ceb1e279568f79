"""Every kind of data set there is, by name. A new one takes a reader and an entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bisenet_ros.datasets.base import LabelledSet
from bisenet_ros.datasets.camvid import open_camvid
from bisenet_ros.datasets.cityscapes import open_cityscapes
from bisenet_ros.datasets.coco_stuff import open_coco_stuff
from bisenet_ros.datasets.folder import open_folder
from bisenet_ros.datasets.synthetic_shapes import open_shapes
from bisenet_ros.errors import ArgumentError


@dataclass(frozen=True)
class DatasetOptions:
    """What a reader may be told besides folder and split.

    Attributes:
        val_share: where no list says, the share of the images that is ``val``.
        seed: chooses that share.
        stuff_only: only the stuff classes, of sets that tell stuff from things.
    """

    val_share: float = 0.2
    seed: int = 1
    stuff_only: bool = False


@dataclass(frozen=True)
class DatasetSpec:
    """One kind of data set.

    Attributes:
        open: reads the names of a split's files from the set's folder; ``check`` reads the labels.
            Raises DataError if the set or the split is not there, or an image has no label.
        help: one line for people who choose.
        has_stuff: whether it tells stuff from things.
        makes_its_own: whether it can be opened in a folder that is missing.
    """

    open: Callable[[Path, str, DatasetOptions], LabelledSet]
    help: str
    has_stuff: bool = False
    makes_its_own: bool = False


DATASETS = {
    "camvid": DatasetSpec(
        lambda root, split, _: open_camvid(root, split),
        "CamVid, 11 classes, in either form of its labels",
    ),
    "cityscapes": DatasetSpec(
        lambda root, split, _: open_cityscapes(root, split), "Cityscapes, fine labels, 19 classes"
    ),
    "coco-stuff": DatasetSpec(
        lambda root, split, options: open_coco_stuff(root, split, options.stuff_only),
        "COCO-Stuff, 171 classes",
        has_stuff=True,
    ),
    "folder": DatasetSpec(
        lambda root, split, options: open_folder(root, split, options.val_share, options.seed),
        "your own images/ and masks/ with a labels.yaml",
    ),
    "shapes": DatasetSpec(
        lambda root, split, options: open_shapes(root, split, options.val_share, options.seed),
        "synthetic shapes, written into the folder if it is empty or missing",
        makes_its_own=True,
    ),
}


def open_set(
    kind: str, root: str | Path, split: str, options: DatasetOptions | None = None
) -> LabelledSet:
    """A split of a data set on disk.

    Args:
        kind: a key of ``DATASETS``.
        root: the folder of the set.
        split: ``train``, ``val``, or what else the set has.
        options: defaults if None.

    Raises:
        ArgumentError: there is no such kind, or an option does not fit it.
        DataError: the set or the split is not there, or an image has no label.
    """
    options = options or DatasetOptions()
    if kind not in DATASETS:
        raise ArgumentError(f"dataset is {kind!r}; expected one of {', '.join(DATASETS)}")
    if options.stuff_only and not DATASETS[kind].has_stuff:
        having = " and ".join(name for name, spec in DATASETS.items() if spec.has_stuff)
        raise ArgumentError(f"stuff_only is set for {kind}; only {having} has stuff and things")
    return DATASETS[kind].open(Path(root), split, options)
