"""COCO's JSON: polygons and run lengths of objects, many images in one file.

The format is described at cocodataset.org/#format-data. A file lies in annotations/ or beside its
images; CVAT, Roboflow, Label Studio, Segments.ai and many scripts write it, each with paths of its
own, so images are looked for in several places.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bisenet_ros.datasets.annotated import SPLIT_NAMES, AnnotatedSet, split_name
from bisenet_ros.datasets.base import Sample
from bisenet_ros.datasets.class_list import ClassList, class_list, rgb_colour
from bisenet_ros.datasets.decoding import Colour
from bisenet_ros.datasets.json_kinds import begins, ends, keys_in, some_json
from bisenet_ros.datasets.json_stream import Span, entries, load_entry
from bisenet_ros.datasets.names import sample_name, stem
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.pictures import read_rgb
from bisenet_ros.datasets.regions.canvas import Canvas
from bisenet_ros.datasets.regions.polygons import points
from bisenet_ros.datasets.regions.rle import decode_counts, text_to_counts
from bisenet_ros.datasets.tree import Tree
from bisenet_ros.errors import DataError

KEYS = ("images", "annotations", "categories")
OBJECTS = "instances_"  # COCO's own name for files of this kind, beside captions and key points


@dataclass(frozen=True)
class ImageRegions:
    """What a COCO file has for an image.

    Attributes:
        spans: where its annotations lie in the file, in the order they are laid down.
        size: (height, width) that the file says the image has, None if it does not.
    """

    spans: tuple[Span, ...]
    size: tuple[int, int] | None


@dataclass
class _File:
    """A COCO file as it is read."""

    name: str
    categories: dict[int, dict[str, Any]] = field(default_factory=dict)
    images: dict[Any, dict[str, Any]] = field(default_factory=dict)
    crowds: dict[Any, list[Span]] = field(default_factory=dict)
    objects: dict[Any, list[Span]] = field(default_factory=dict)
    used: dict[Any, Any] = field(default_factory=dict)  # category: an annotation that has it
    seen: set[Any] = field(default_factory=set)  # ids of annotations


def recognise_coco(tree: Tree) -> str | None:
    """Why this is one, or None."""
    files = coco_files(tree)
    if not files:
        return None
    return f"{files[0]} has {', '.join(KEYS[:2])} and {KEYS[2]}"


def coco_files(tree: Tree) -> list[str]:
    """The set's files of this kind; of COCO's own only those of objects."""
    found = []
    for name in some_json(tree):
        text = ends(tree, name)
        if begins(text, "{") and keys_in(text, KEYS) >= 2 and not keys_in(text, ("shapes",)):
            found.append(name)
    objects = [name for name in found if posixpath.basename(name).startswith(OBJECTS)]
    return objects or found


def index_coco(tree: Tree, options: DatasetOptions) -> AnnotatedSet:
    """Read every file once, entry by entry, and keep where the annotations of each image lie.

    Crowds (``iscrowd``) are laid down first, then objects in the file's order: later ones cover
    earlier ones. Boxes alone are an error, since their pixels would be taught as background.

    Raises:
        DataError: a file is broken, an id is there twice or belongs to nothing, an image is
            missing, or files disagree about the classes.
    """
    names = coco_files(tree)
    if not names:
        raise DataError(f"{tree.root} has no JSON with {', '.join(KEYS)}; expected COCO's format")
    files = [_read(tree, name) for name in names]
    for file in files[1:]:
        if _names(file) != _names(files[0]):
            raise DataError(
                f"{tree.path(file.name)} lists other categories than {tree.path(files[0].name)}; "
                "export all splits of one project"
            )
    numbers, classes = _classes(tree, files)
    splits: dict[str, tuple[Sample, ...]] = {}
    bare = 0
    for file in files:
        split = _split(file.name)
        if split in splits:
            raise DataError(
                f"{tree.path(file.name)} and another file both hold the split {split!r}; keep one"
            )
        splits[split] = _samples(tree, file, options)
        bare += sum(not sample.regions.spans for sample in splits[split])
    rest = "background" if classes.rest != 255 else "unlabelled"
    return AnnotatedSet(
        format="COCO JSON",
        labels=classes.labels,
        splits=splits,
        decode=CocoDecoder(numbers, classes.rest),
        notes=(f"{bare} images have no annotation: they are all {rest}",) if bare else (),
    )


def _read(tree: Tree, name: str) -> _File:
    path = tree.path(name)
    file = _File(name)
    for key, span, entry in entries(path):
        if key not in KEYS:
            continue
        if not isinstance(entry, dict):
            raise DataError(f"{path} has {entry!r} in {key!r}; expected objects with an 'id'")
        if key == "annotations":
            _add_annotation(path, file, span, entry)
            continue
        known: dict[Any, dict[str, Any]] = file.images if key == "images" else file.categories
        number = entry.get("id")
        if not isinstance(number, (int, str)) or number in known:
            said = "twice" if number in known else "which is no id"
            raise DataError(f"{path} has the id {number!r} in {key!r} {said}; give each its own")
        wanted = "file_name" if key == "images" else "name"
        if not isinstance(entry.get(wanted), str):
            raise DataError(f"{path} has no {wanted!r} for id {number!r} in {key!r}; export again")
        known[number] = entry
    for number, annotation in file.used.items():
        if number not in file.categories:
            raise DataError(
                f"{path}: annotation {annotation!r} is of category {number!r}, which is not listed "
                "in 'categories'"
            )
    for image in (*file.crowds, *file.objects):
        if image not in file.images:
            raise DataError(
                f"{path} has annotations for image {image!r}, which is not listed in 'images'"
            )
    return file


def _add_annotation(path: Any, file: _File, span: Span, entry: dict[str, Any]) -> None:
    number, image = entry.get("id"), entry.get("image_id")
    if "segments_info" in entry:
        raise DataError(f"{path} is COCO's panoptic format; expected objects: export those instead")
    if not isinstance(image, (int, str)) or not isinstance(entry.get("category_id"), (int, str)):
        raise DataError(f"{path}: annotation {number!r} has no 'image_id' or no 'category_id'")
    if number is not None:
        if not isinstance(number, (int, str)) or number in file.seen:
            raise DataError(
                f"{path} has the annotation id {number!r} twice; give each its own, or leave out "
                "the ids"
            )
        file.seen.add(number)
    if not entry.get("segmentation"):
        raise DataError(
            f"{path}: annotation {number!r} has no segmentation, only a box; its pixels would be "
            "taught as background: draw a mask or polygon, or remove it"
        )
    kind = file.crowds if entry.get("iscrowd") else file.objects
    kind.setdefault(image, []).append(span)
    file.used.setdefault(entry["category_id"], number)


def _names(file: _File) -> dict[int, str]:
    return {number: entry["name"] for number, entry in file.categories.items()}


def _classes(tree: Tree, files: list[_File]) -> tuple[dict[Any, int], ClassList]:
    """The id of each category, in the order of COCO's numbers, and the classes."""
    used = {number for file in files for number in file.used}
    listed = files[0].categories
    order = sorted(listed, key=lambda number: (isinstance(number, str), number))
    # Roboflow puts the name of the project in front, as a class above all others that none has.
    kept = [n for n in order if n in used or not _is_above_all(listed[n], listed)]
    colours: dict[str, Colour] = {}
    for number in kept:
        colour = rgb_colour(listed[number].get("color"))
        if colour is not None and colour not in colours.values():
            colours[listed[number]["name"]] = colour
    names = [listed[number]["name"] for number in kept]
    classes = class_list(names, colours, tree.path(files[0].name), drawn=True)
    return {n: classes.ids[listed[n]["name"]] for n in kept}, classes


def _is_above_all(entry: dict[str, Any], listed: Mapping[int, dict[str, Any]]) -> bool:
    others = [other for other in listed.values() if other is not entry]
    return (
        entry.get("supercategory") == "none"
        and bool(others)
        and all(other.get("supercategory") == entry["name"] for other in others)
    )


def _split(name: str) -> str:
    """What split a file holds, by its name, then by its folder."""
    own = stem(posixpath.basename(name))
    for word in re.split(r"[_\-. ]", own):
        if word.casefold().rstrip("0123456789") in SPLIT_NAMES:
            return split_name(word)
    folder = posixpath.basename(posixpath.dirname(name))
    if folder.casefold() in SPLIT_NAMES:
        return split_name(folder)
    return own.removeprefix(OBJECTS) or "all"


def _samples(tree: Tree, file: _File, options: DatasetOptions) -> tuple[Sample, ...]:
    path = tree.path(file.name)
    folder = posixpath.dirname(file.name)
    written = stem(posixpath.basename(file.name)).removeprefix(OBJECTS)
    near = [folder, f"{folder}/images", f"{folder}/data", "", "images", "JPEGImages"]
    near += [place for name in (written, _split(file.name)) for place in (name, f"images/{name}")]
    samples = []
    taken: dict[str, Any] = {}
    for number, entry in file.images.items():
        spans = (*file.crowds.get(number, ()), *file.objects.get(number, ()))
        if not spans and options.skip_unlabelled:
            continue
        found = tree.locate(entry["file_name"], [posixpath.normpath(place) for place in near])
        if found is None:
            raise DataError(
                f"{path} lists the image {entry['file_name']!r}, which is not in {tree.root}; copy "
                "the images beside the JSON, or to images/"
            )
        if taken.setdefault(found, number) != number:
            raise DataError(
                f"{path} lists the image {entry['file_name']!r} as {taken[found]!r} and as "
                f"{number!r}; keep one of them"
            )
        size = entry.get("height"), entry.get("width")
        whole = isinstance(size[0], int) and isinstance(size[1], int)
        regions = ImageRegions(spans, size if whole else None)  # type: ignore[arg-type]
        samples.append(Sample(sample_name(found), tree.path(found), path, regions))
    return tuple(samples)


@dataclass(frozen=True)
class CocoDecoder:
    """Draws an image's annotations.

    Attributes:
        ids: of each category number.
        rest: the id of pixels that no annotation covers.
    """

    ids: Mapping[Any, int]
    rest: int

    def __call__(self, sample: Sample) -> np.ndarray:
        """(H, W) uint8; DataError names the annotation that is broken."""
        regions: ImageRegions = sample.regions
        size = regions.size or read_rgb(sample.image).shape[:2]
        number: Any = None
        try:
            canvas = Canvas((size[0], size[1]), self.rest)
            for span in regions.spans:
                entry = load_entry(sample.label, span)
                number = entry.get("id")
                self._draw(canvas, entry["segmentation"], self.ids[entry["category_id"]])
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{sample.label}: annotation {number!r} of {sample.image.name}: {error}; correct "
                "it in the labelling tool, or remove it"
            ) from error
        return canvas.ids

    def _draw(self, canvas: Canvas, written: Any, id: int) -> None:
        if isinstance(written, dict):
            size = written.get("size")
            if size != list(canvas.size):
                raise ValueError(
                    f"its mask is of size {size}; expected {list(canvas.size)}, height and width"
                )
            counts = written.get("counts")
            if isinstance(counts, str):
                counts = text_to_counts(counts)
            canvas.mask(decode_counts(counts, canvas.size), id)  # type: ignore[arg-type]
            return
        rings = written if isinstance(written[0], (list, tuple)) else [written]
        for ring in rings:
            canvas.polygon([points(ring)], id)
