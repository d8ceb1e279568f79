"""COCO-Stuff: the 164 000 photographs of COCO 2017, with 80 thing and 91 stuff classes."""

from __future__ import annotations

from pathlib import Path

from bisenet_ros.datasets.base import LabelledSet, Sample
from bisenet_ros.datasets.files import images_in, label_of, labels_in
from bisenet_ros.datasets.label_file import read_label_file
from bisenet_ros.errors import DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.system.share import share_file

SPLITS = {"train": "train2017", "val": "val2017"}
FIRST_STUFF = 91  # ids below are things


def open_coco_stuff(root: Path, split: str, stuff_only: bool = False) -> LabelledSet:
    """``root/{images,annotations}/{train,val}2017/`` as the archives unpack.

    With ``stuff_only``, there are 91 classes and things (people, cars, …) are unlabelled.

    Raises:
        DataError: there is no such split, or an image has no label map.
    """
    folder = SPLITS.get(split, split)
    if folder not in SPLITS.values():
        raise DataError(f"COCO-Stuff has no labelled split {split!r}; expected train or val")
    images = images_in(root / "images" / folder, f"COCO-Stuff's images/{folder}/NUMBER.jpg")
    truth = root / "annotations" / folder
    labels = labels_in(truth)
    listed = read_label_file(share_file("config/labels/coco-stuff.yaml"))
    kept = tuple(i for i, file_id in enumerate(listed.ids) if file_id >= FIRST_STUFF * stuff_only)
    samples = tuple(
        Sample(name, path, label_of(name, labels, truth)) for name, path in images.items()
    )
    what = "91 stuff classes" if stuff_only else "171 classes"
    return LabelledSet(
        labels=LabelSet(
            tuple(listed.labels.names[i] for i in kept),
            tuple(listed.labels.colours[i] for i in kept),
        ),
        samples=samples,
        decode=listed.decoder(kept),
        resolution=(640, 640),
        source=f"COCO-Stuff {folder} (Caesar et al. 2018): {len(samples)} images, {what}",
        licence="annotations CC BY 4.0; images under Flickr's terms of use, each its owner's",
        split=split,
    )
