"""PASCAL VOC's segmentation sets, and what labelme's ``labelme2voc.py`` makes.

Masks are PNGs with a palette whose indices are the ids; 255 is the border between objects, which
is not scored (VOC 2012 development kit, section 3.3). VOC lists its 20 classes nowhere in the set;
labelme2voc writes class_names.txt, one name a line, after an optional ``__ignore__`` that has the
id −1.
"""

from __future__ import annotations

import posixpath

from bisenet_ros.datasets.annotated import AnnotatedSet
from bisenet_ros.datasets.class_list import class_list, name_lines, voc_colour
from bisenet_ros.datasets.cvat import LABEL_MAP, index_cvat
from bisenet_ros.datasets.decoding import Colour
from bisenet_ros.datasets.mask_decoder import MaskDecoder
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.pictures import read_palette
from bisenet_ros.datasets.segmentation_class import mask_folder, samples_by_split
from bisenet_ros.datasets.tree import Tree
from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED

NAMES = "class_names.txt"
IGNORED = "__ignore__"
BORDER = voc_colour(UNLABELLED)  # what 255 is in masks that were saved with colours
VOC_CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)


def recognise_voc(tree: Tree) -> str | None:
    """Why this is one, or None."""
    folder = mask_folder(tree)
    if folder is None or tree.names.find(LABEL_MAP) is not None:
        return None
    names = "and" if tree.names.find(NAMES) is None else f"and {NAMES}, and"
    return f"it has {folder}/ {names} no {LABEL_MAP}"


def index_voc(tree: Tree, options: DatasetOptions) -> AnnotatedSet:
    """Read the classes and the lists; DataError names what is missing."""
    if tree.names.find(LABEL_MAP) is not None:
        return index_cvat(tree, options)
    listed = tree.names.find(NAMES)
    names = list(VOC_CLASSES) if listed is None else name_lines(tree.path(listed))
    path = tree.path(listed or NAMES)
    if names[:1] == [IGNORED]:
        names = names[1:]
    if not names:
        raise DataError(f"{path} lists no classes; expected one name a line")
    splits = samples_by_split(tree, options)
    masks = [sample.label for samples in splits.values() for sample in samples]
    palette = read_palette(masks[0]) if masks else None
    given: dict[str, Colour] = {}
    for index, name in enumerate(names):
        known = palette is not None and index < len(palette)
        red, green, blue = palette[index].tolist() if known else voc_colour(index)  # type: ignore[index]
        given[name] = (red, green, blue)
    if len(set(given.values())) < len(given):  # a palette that was cut off is padded with black
        given = {name: voc_colour(index) for index, name in enumerate(names)}
    classes = class_list(names, given, path, drawn=False)
    notes = () if listed else ("the set lists no classes, so they are the 20 of PASCAL VOC",)
    return AnnotatedSet(
        format="PASCAL VOC masks",
        labels=classes.labels,
        splits=splits,
        decode=MaskDecoder(
            ids={index: classes.ids[name] for index, name in enumerate(names)},
            colours={
                BORDER: UNLABELLED,
                **{given[name]: classes.ids[name] for name in names},
            },
            listed=posixpath.basename(listed) if listed else "PASCAL VOC's list",
        ),
        notes=notes,
    )
