"""CVAT's "CVAT for images 1.1": annotations.xml with the shapes themselves, and images/.

Each ``image`` has polygons, boxes, ellipses and masks with a ``z_order``: larger ones are nearer to
the camera, and of equal ones the later lies on top (docs.cvat.ai, "XML annotation format"). A mask
is run lengths of its box along the rows, zeros first. Labels are listed in ``meta``; images of a
project have a ``subset``.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.datasets.annotated import AnnotatedSet, split_name
from bisenet_ros.datasets.base import Sample
from bisenet_ros.datasets.class_list import class_list, hex_colour
from bisenet_ros.datasets.decoding import Colour
from bisenet_ros.datasets.names import sample_name
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.regions.canvas import Canvas
from bisenet_ros.datasets.regions.polygons import ellipse, points, rectangle, turned
from bisenet_ros.datasets.regions.rle import decode_counts
from bisenet_ros.datasets.tree import Tree
from bisenet_ros.errors import DataError

FILE = "annotations.xml"
LARGEST = 1 << 29  # bytes; what a set keeps of the file is in memory
WITH_AREA = frozenset({"polygon", "box", "ellipse", "mask"})
_HEAD = 4096


@dataclass(frozen=True)
class ImageShapes:
    """What the file has for an image: (height, width), and shapes as (kind, attributes)."""

    size: tuple[int, int]
    shapes: tuple[tuple[str, Mapping[str, str]], ...]


def recognise_cvat_images(tree: Tree) -> str | None:
    """Why this is one, or None."""
    found = tree.names.find(FILE)
    if found is None or "<annotations" not in _head(tree.path(found)):
        return None
    return f"it has {found} with annotations"


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_HEAD).decode("latin-1")


def index_cvat_images(tree: Tree, options: DatasetOptions) -> AnnotatedSet:
    """Read annotations.xml once, image by image.

    Raises:
        DataError: the file is missing, broken, too large or of a video, a label is not listed, or
            an image is missing.
    """
    path = tree.path(tree.names.find(FILE) or FILE)
    names: list[str] = []
    colours: dict[str, Colour] = {}
    samples: dict[str, list[Sample]] = {}
    taken: set[str] = set()
    bare = 0
    for element in _elements(path):
        if element.tag == "label":
            name, colour = element.findtext("name") or "", hex_colour(element.findtext("color"))
            names.append(name)
            if colour is not None and colour not in colours.values():
                colours[name] = colour
            continue
        entry = _shapes(path, element, names)
        if not entry.shapes and options.skip_unlabelled:
            continue
        bare += not entry.shapes
        written, subset = element.get("name", ""), element.get("subset", "all")
        near = ["images", f"images/{subset}", "", subset]
        found = tree.locate(written, near)
        if found is None:
            raise DataError(
                f"{path} lists the image {written!r}, which is not in {tree.root}; export again "
                "with 'Save images', or copy the images to images/"
            )
        if found in taken:
            raise DataError(f"{path} lists the image {written!r} twice; export it again")
        taken.add(found)
        sample = Sample(sample_name(found), tree.path(found), path, entry)
        samples.setdefault(split_name(subset), []).append(sample)
    classes = class_list(names, colours, path, drawn=True)
    rest = "unlabelled" if classes.rest == 255 else "background"
    return AnnotatedSet(
        format="CVAT for images",
        labels=classes.labels,
        splits={split: tuple(part) for split, part in samples.items()},
        decode=CvatImagesDecoder(classes.ids, classes.rest),
        notes=(f"{bare} images have no shape: they are all {rest}",) if bare else (),
    )


def _elements(path: Path) -> Iterator[ElementTree.Element]:
    """Every ``label`` of the head and every ``image``, whole, in the file's order."""
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(
                f"{path} has {path.stat().st_size / 2**20:.0f} MiB; expected {LARGEST >> 20} at "
                "most: export 'Segmentation mask 1.1' instead, or task by task"
            )
        if "<!" in _head(path).replace("<!--", ""):
            raise DataError(f"{path} declares entities, which CVAT does not; refused")
        depth: list[str] = []
        for event, element in ElementTree.iterparse(path, ("start", "end")):
            if event == "start":
                depth.append(element.tag)
                continue
            depth.pop()
            if element.tag == "track":
                raise DataError(f"{path} is of a video; export it as 'CVAT for images 1.1'")
            if element.tag == "label" and depth[-1:] == ["labels"]:
                yield element
            if element.tag == "image" and depth == ["annotations"]:
                yield element
                element.clear()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except ElementTree.ParseError as error:
        raise DataError(f"{path} is not XML: {error}; export it again") from error


def _shapes(path: Path, image: ElementTree.Element, names: list[str]) -> ImageShapes:
    """The shapes of an image, the lowest first."""
    where = f"{path}: image {image.get('name')!r}"
    try:
        size = int(image.get("height", "")), int(image.get("width", ""))
        drawn = [element for element in image if element.tag in WITH_AREA]
        drawn.sort(key=lambda element: int(element.get("z_order", "0")))
    except ValueError as error:
        raise DataError(f"{where} has a number that is none ({error}); export it again") from error
    for element in drawn:
        if element.get("label") not in names:
            raise DataError(
                f"{where} has a {element.tag} of the label {element.get('label')!r}, which is not "
                "listed; export it again"
            )
    return ImageShapes(size, tuple((element.tag, dict(element.attrib)) for element in drawn))


@dataclass(frozen=True)
class CvatImagesDecoder:
    """Draws an image's shapes.

    Attributes:
        ids: of each label.
        rest: the id of pixels that no shape covers.
    """

    ids: Mapping[str, int]
    rest: int

    def __call__(self, sample: Sample) -> np.ndarray:
        """(H, W) uint8; DataError names the shape that is broken."""
        entry: ImageShapes = sample.regions
        at = 0
        try:
            canvas = Canvas(entry.size, self.rest)
            while at < len(entry.shapes):
                kind, values = entry.shapes[at]
                _draw(canvas, kind, values, self.ids[values["label"]])
                at += 1
        except (ValueError, KeyError, OverflowError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            shown = f"{entry.shapes[at][0]} {at}" if at < len(entry.shapes) else "it"
            raise DataError(
                f"{sample.label}: {shown} of {sample.image.name}: {what}; correct it in CVAT, or "
                "remove it"
            ) from error
        return canvas.ids


def _draw(canvas: Canvas, kind: str, values: Mapping[str, Any], id: int) -> None:
    turn = float(values.get("rotation", 0))
    if kind == "mask":
        size = int(values["height"]), int(values["width"])
        counts = [int(count) for count in values["rle"].split(",")]
        # Along the rows: that is down the columns of the mask on its side.
        mask = decode_counts(counts, size[::-1]).T
        canvas.patch(mask, int(values["left"]), int(values["top"]), id)
    elif kind == "polygon":
        pairs = [corner.split(",") for corner in values["points"].split(";")]
        canvas.polygon([points([[float(part) for part in pair] for pair in pairs])], id)
    elif kind == "ellipse":
        centre = float(values["cx"]), float(values["cy"])
        radii = float(values["rx"]), float(values["ry"])
        canvas.polygon([points(ellipse(centre, radii, turn))], id)
    else:
        left, top, right, bottom = (float(values[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        corners = rectangle(left, top, right - left, bottom - top)
        canvas.polygon([points(turned(corners, turn, corners.mean(0)))], id)
