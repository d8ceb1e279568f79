"""Labelled images on disk: CamVid, Cityscapes, COCO-Stuff, anybody's own, drawn ones."""

from __future__ import annotations

from pathlib import Path

from bisenet_ros.datasets.base import LabelledSet, Sample
from bisenet_ros.datasets.camvid import CAMVID, open_camvid
from bisenet_ros.datasets.checking import Checked, check
from bisenet_ros.datasets.cityscapes import open_cityscapes
from bisenet_ros.datasets.coco_stuff import open_coco_stuff
from bisenet_ros.datasets.folder import open_folder
from bisenet_ros.datasets.images import TrainingImages
from bisenet_ros.datasets.synthetic_shapes import draw, is_absent
from bisenet_ros.errors import ArgumentError

__all__ = [
    "CAMVID",
    "KINDS",
    "Checked",
    "LabelledSet",
    "Sample",
    "TrainingImages",
    "check",
    "open_set",
]

KINDS = ("camvid", "cityscapes", "coco-stuff", "folder", "drawn")


def open_set(
    kind: str,
    root: str | Path,
    split: str,
    *,
    val_share: float = 0.2,
    seed: int = 1,
    stuff_only: bool = False,
) -> LabelledSet:
    """The split of a data set on disk; which files there must be, each ``open_…`` says.

    Only names are looked at: ``check`` reads the labels.

    Args:
        kind: one of ``KINDS``. ``drawn`` draws its images (``synthetic_shapes.py``) into ``root``
            if that is empty or missing, and is a ``folder`` from then on.
        root: the folder of the set.
        split: ``train``, ``val``, or what else the set has.
        val_share: for a ``folder`` that lists no splits, the share that is ``val``.
        seed: chooses that share.
        stuff_only: of ``coco-stuff`` only the 91 stuff classes.

    Raises:
        ArgumentError: there is no such kind, or an option does not fit it.
        DataError: the set or the split is not there, or an image has no label.
    """
    if kind not in KINDS:
        raise ArgumentError(f"dataset is {kind!r}; expected one of {', '.join(KINDS)}")
    if stuff_only and kind != "coco-stuff":
        raise ArgumentError(f"stuff_only is set for {kind}; only coco-stuff has stuff and things")
    root = Path(root)
    if kind == "camvid":
        return open_camvid(root, split)
    if kind == "cityscapes":
        return open_cityscapes(root, split)
    if kind == "coco-stuff":
        return open_coco_stuff(root, split, stuff_only)
    if kind == "drawn" and is_absent(root):
        draw(root)
    return open_folder(root, split, val_share, seed)
