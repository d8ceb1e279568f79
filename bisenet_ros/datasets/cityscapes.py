"""Cityscapes: street scenes of 50 cities, fine labels in 19 classes."""

from __future__ import annotations

from pathlib import Path

from bisenet_ros.datasets.base import LabelledSet, Sample
from bisenet_ros.datasets.decoding import Decoder
from bisenet_ros.datasets.files import folders_in, images_in, label_of, labels_in
from bisenet_ros.datasets.label_file import read_label_file
from bisenet_ros.system.share import share_file

IMAGE, IDS, TRAIN_IDS = "_leftImg8bit", "_gtFine_labelIds", "_gtFine_labelTrainIds"


def open_cityscapes(root: Path, split: str) -> LabelledSet:
    """``root/{leftImg8bit,gtFine}/SPLIT/CITY/`` as the two archives unpack.

    Labels are ``*_labelIds.png``, whose 34 ids are mapped to the 19 training ids or unlabelled;
    if there are none, ``*_labelTrainIds.png``, which contain the training ids.

    Raises:
        DataError: there is no such split, or an image has no label.
    """
    listed = read_label_file(share_file("config/labels/cityscapes.yaml"))
    above, truth = root / "leftImg8bit", root / "gtFine" / split
    found = images_in(
        above / split,
        f"Cityscapes' leftImg8bit/SPLIT/CITY/*{IMAGE}.png; "
        f"{above} has the folders {folders_in(above)}",
    )
    labels = labels_in(truth)
    endings = [ending for ending in (IDS, TRAIN_IDS) if any(n.endswith(ending) for n in labels)]
    ending = endings[0] if endings else IDS
    names = [name.removesuffix(IMAGE) for name in found]
    samples = tuple(
        Sample(Path(name).name, path, label_of(name + ending, labels, truth))
        for name, path in zip(names, found.values(), strict=True)
    )
    count = len(listed.labels)
    own = Decoder({i: i for i in range(count)}, listed="Cityscapes' training ids")
    return LabelledSet(
        labels=listed.labels,
        samples=samples,
        decode=own if ending == TRAIN_IDS else listed.decoder(),
        resolution=(512, 1024),
        source=f"Cityscapes {split}, fine labels: {len(samples)} images, {count} classes",
        licence="Cityscapes' own (Cordts et al. 2016): research and personal use, not commercial",
        split=split,
    )
