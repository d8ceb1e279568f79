"""Roboflow's "Semantic Segmentation Masks".

A zip with train/, valid/ and test/, in each the images, NAME_mask.png beside NAME.jpg with one byte
a pixel, and _classes.csv: ``Pixel Value, Class`` and then ``0, background`` a line. The commas of
class names are not quoted. Luxonis' parser of the same layout (luxonis-ml,
``segmentation_mask_directory_parser.py``) and Roboflow's own notebooks document it.
"""

from __future__ import annotations

import posixpath

from bisenet_ros.datasets.annotated import AnnotatedSet, split_name
from bisenet_ros.datasets.base import Sample
from bisenet_ros.datasets.class_list import class_list
from bisenet_ros.datasets.mask_decoder import MaskDecoder
from bisenet_ros.datasets.names import Names, stem
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.pictures import IMAGES
from bisenet_ros.datasets.tree import Tree
from bisenet_ros.errors import DataError

CLASSES = "_classes.csv"
MASK = "_mask.png"


def recognise_roboflow(tree: Tree) -> str | None:
    """Why this is one, or None."""
    lists = _lists(tree)
    if not lists:
        return None
    folder = posixpath.dirname(lists[0])
    if not any(name.lower().endswith(MASK) for name in tree.below(folder)):
        return None  # Roboflow's lists for classification have the same name
    return f"it has {lists[0]} and images with *{MASK} beside them"


def index_roboflow(tree: Tree, options: DatasetOptions) -> AnnotatedSet:
    """Read the lists of classes and pair images and masks; DataError names what does not fit."""
    lists = _lists(tree)
    if not lists:
        raise DataError(f"{tree.root} has no {CLASSES}; expected Roboflow's export of masks")
    listed = {name: _read(tree, name) for name in lists}
    first = listed[lists[0]]
    for name, found in listed.items():
        if found != first:
            raise DataError(
                f"{tree.path(name)} lists other classes than {tree.path(lists[0])}; export all "
                "splits of one version"
            )
    values = sorted(first)
    names = [first[value] for value in values]
    classes = class_list(names, {}, tree.path(lists[0]), drawn=False)
    splits: dict[str, tuple[Sample, ...]] = {}
    for name in lists:
        folder = posixpath.dirname(name)
        split = split_name(posixpath.basename(folder) or "all")
        splits[split] = splits.get(split, ()) + _samples(tree, folder, options)
    return AnnotatedSet(
        format="Roboflow masks",
        labels=classes.labels,
        splits=splits,
        decode=MaskDecoder(
            ids={value: classes.ids[first[value]] for value in values}, listed=CLASSES
        ),
    )


def _lists(tree: Tree) -> list[str]:
    return [name for name in tree.below("", (CLASSES,)) if posixpath.basename(name) == CLASSES]


def _read(tree: Tree, file: str) -> dict[int, str]:
    """Class names by pixel value."""
    path = tree.path(file)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error
    found: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        value, comma, name = (part.strip() for part in line.partition(","))
        if not line.strip() or (number == 1 and not value.isdecimal()):
            continue
        name = name.strip('"')
        if not comma or not value.isdecimal() or int(value) > 255 or not name:
            raise DataError(f"{path} line {number} is {line!r}; expected PIXEL VALUE, CLASS")
        if int(value) in found:
            raise DataError(f"{path} lists the pixel value {value} twice; export the set again")
        found[int(value)] = name
    if not found:
        raise DataError(f"{path} lists no classes; expected PIXEL VALUE, CLASS a line")
    return found


def _samples(tree: Tree, folder: str, options: DatasetOptions) -> tuple[Sample, ...]:
    """The images of a split, each with its mask."""
    here = [name for name in tree.below(folder) if posixpath.dirname(name) == folder]
    masks = {name[: -len(MASK)]: name for name in here if name.lower().endswith(MASK)}
    known = Names(masks)
    samples: list[Sample] = []
    paired: set[str] = set()
    for name in here:
        if not name.lower().endswith(IMAGES) or name.lower().endswith(MASK):
            continue
        mask = known.find(stem(name))
        if mask is None and options.skip_unlabelled:
            continue
        if mask is None or mask in paired:
            what = "is missing" if mask is None else "belongs to two images"
            raise DataError(
                f"{tree.path(stem(name) + MASK)} {what}; each image needs a mask: export again, or "
                "leave images without one out with --skip-unlabelled"
            )
        paired.add(mask)
        samples.append(Sample(stem(name), tree.path(name), tree.path(masks[mask])))
    for key in sorted(set(masks) - paired):
        raise DataError(f"{tree.path(masks[key])} has no image {key}.jpg or .png; add or remove it")
    return tuple(samples)
