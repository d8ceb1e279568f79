"""Supervisely's projects as they are downloaded: plain files.

meta.json lists the classes; each data set is a folder with img/ and ann/, where ann/NAME.jpg.json
has the objects of img/NAME.jpg: polygons with holes, bitmaps (base64 of a compressed PNG, at an
origin) and rectangles, later ones on top (developer.supervisely.com, "Supervisely annotation
format"; ``supervisely/geometry/``). Corners are pixels that belong to the object: the SDK takes the
half pixels of the web page off when it downloads (``_to_pixel_coordinate_system_json``).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.datasets.annotated import SPLIT_NAMES, AnnotatedSet, split_name
from bisenet_ros.datasets.base import Sample
from bisenet_ros.datasets.class_list import class_list, hex_colour
from bisenet_ros.datasets.decoding import Colour
from bisenet_ros.datasets.json_stream import LARGEST_ENTRY, load
from bisenet_ros.datasets.names import Names, stem
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.pictures import IMAGES as SUFFIXES
from bisenet_ros.datasets.regions.canvas import Canvas, patch_from_text
from bisenet_ros.datasets.regions.polygons import points
from bisenet_ros.datasets.tree import Tree
from bisenet_ros.errors import DataError

META = "meta.json"
IMAGES, LABELS = "img", "ann"
WITH_AREA = frozenset({"polygon", "bitmap", "rectangle", "any"})


def recognise_supervisely(tree: Tree) -> str | None:
    """Why this is one, or None."""
    folders = data_sets(tree)
    if tree.names.find(META) is None or not folders:
        return None
    return f"it has {META} and {posixpath.join(folders[0], LABELS)}/"


def data_sets(tree: Tree) -> list[str]:
    """The folders with img/ and ann/ in them."""
    parents = {posixpath.dirname(f) for f in tree.folders if posixpath.basename(f) == LABELS}
    return sorted(f for f in parents if posixpath.normpath(f"{f}/{IMAGES}") in _normal(tree))


def _normal(tree: Tree) -> set[str]:
    return {posixpath.normpath(folder) for folder in tree.folders} | {
        posixpath.normpath(f"/{folder}") for folder in tree.folders
    }


def index_supervisely(tree: Tree, options: DatasetOptions) -> AnnotatedSet:
    """Read meta.json and pair images and annotations.

    Data sets that are called train, val or test are splits.

    Raises:
        DataError: meta.json is missing or broken, an image has no annotation, or the reverse.
    """
    folders = data_sets(tree)
    if not folders:
        raise DataError(f"{tree.root} has no folder with img/ and ann/; expected Supervisely's")
    path = tree.path(tree.names.find(META) or META)
    meta = load(path)
    listed = meta.get("classes") if isinstance(meta, dict) else None
    if not isinstance(listed, list) or not all(isinstance(c, dict) for c in listed):
        raise DataError(f"{path} has no list of 'classes'; expected Supervisely's meta.json")
    names: list[str] = []
    colours: dict[str, Colour] = {}
    for entry in listed:
        name, colour = entry.get("title"), hex_colour(entry.get("color"))
        if not isinstance(name, str):
            raise DataError(f"{path} has a class without a title: {entry}; download it again")
        if entry.get("shape", "any") not in WITH_AREA:
            continue
        names.append(name)
        if colour is not None and colour not in colours.values():
            colours[name] = colour
    classes = class_list(names, colours, path, drawn=True)
    splits: dict[str, tuple[Sample, ...]] = {}
    for folder in folders:
        split = _split(folder)
        splits[split] = splits.get(split, ()) + tuple(_samples(tree, folder, options))
    return AnnotatedSet(
        format="Supervisely project",
        labels=classes.labels,
        splits=splits,
        decode=SuperviselyDecoder(classes.ids, classes.rest),
    )


def _split(folder: str) -> str:
    for part in folder.split("/"):
        if part.casefold() in SPLIT_NAMES:
            return split_name(part)
    return "all"


def _samples(tree: Tree, folder: str, options: DatasetOptions) -> list[Sample]:
    prefix = f"{folder}/" if folder else ""
    labels = {
        posixpath.relpath(name, f"{prefix}{LABELS}"): name
        for name in tree.below(f"{prefix}{LABELS}", (".json",))
    }
    known = Names(labels)
    found: list[Sample] = []
    paired: set[str] = set()
    for image in tree.below(f"{prefix}{IMAGES}", SUFFIXES):
        whole = posixpath.relpath(image, f"{prefix}{IMAGES}")
        key = stem(whole)
        label = known.find(f"{whole}.json") or known.find(f"{key}.json")  # as older versions had it
        if label is None and options.skip_unlabelled:
            continue
        if label is None:
            raise DataError(
                f"{tree.root / f'{prefix}{LABELS}' / whole}.json is missing; download the project "
                "again, or leave images without labels out with --skip-unlabelled"
            )
        paired.add(label)
        found.append(Sample(f"{prefix}{key}", tree.path(image), tree.path(labels[label])))
    for label in sorted(set(labels) - paired):
        raise DataError(f"{tree.path(labels[label])} has no image in {IMAGES}/; add or remove it")
    return found


@dataclass(frozen=True)
class SuperviselyDecoder:
    """Draws the objects of an annotation.

    Attributes:
        ids: of each class.
        rest: the id of pixels that no object covers.
    """

    ids: Mapping[str, int]
    rest: int

    def __call__(self, sample: Sample) -> np.ndarray:
        """(H, W) uint8; DataError names the object that is broken."""
        size, objects = _read(sample.label)
        index = 0
        try:
            canvas = Canvas(size, self.rest)
            while index < len(objects):
                self._draw(canvas, objects[index])
                index += 1
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(
                f"{sample.label}: object {index} of {len(objects)}: {what}; correct it in "
                "Supervisely, or remove it"
            ) from error
        return canvas.ids

    def _draw(self, canvas: Canvas, entry: dict[str, Any]) -> None:
        kind = entry.get("geometryType", "bitmap" if entry.get("bitmap") else "polygon")
        if kind not in WITH_AREA:
            return
        if entry["classTitle"] not in self.ids:
            raise ValueError(f"its class {entry['classTitle']!r} is not in {META}")
        _draw(canvas, kind, entry, self.ids[entry["classTitle"]])


def _read(path: Path) -> tuple[tuple[int, int], list[dict[str, Any]]]:
    found = load(path, LARGEST_ENTRY)
    size = found.get("size") if isinstance(found, dict) else None
    objects = found.get("objects") if isinstance(found, dict) else None
    sides = (size.get("height"), size.get("width")) if isinstance(size, dict) else (None, None)
    if not (isinstance(sides[0], int) and isinstance(sides[1], int)):
        raise DataError(f"{path} has no 'size' of height and width; download the project again")
    if not isinstance(objects, list) or not all(isinstance(entry, dict) for entry in objects):
        raise DataError(f"{path} has no list of 'objects'; download the project again")
    return (sides[0], sides[1]), objects


def _draw(canvas: Canvas, kind: str, entry: dict[str, Any], id: int) -> None:
    if kind == "bitmap":
        left, top = entry["bitmap"]["origin"]
        canvas.patch(patch_from_text(entry["bitmap"]["data"]), int(left), int(top), id)
        return
    exterior = entry["points"]["exterior"]
    if kind == "rectangle":
        (x0, y0), (x1, y1) = exterior
        exterior = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    holes = [points(ring) for ring in entry["points"].get("interior") or []]
    canvas.through_pixels(points(exterior), holes, id)
