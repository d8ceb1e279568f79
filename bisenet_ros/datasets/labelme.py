"""labelme's JSON files, one beside each image.

``shapes`` holds regions with a ``label``, ``points`` in pixels and a ``shape_type``; later ones lie
on top (``labelme/_label_file.py`` and ``_utils/shape.py``). labelme shows images as their camera's
rotation tag says, and points belong to what it shows. The classes are listed nowhere but in the
labels.txt that was given to it as ``--labels``; without one they are those in use, by alphabet.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.datasets.annotated import SPLIT_NAMES, AnnotatedSet, split_name
from bisenet_ros.datasets.base import Sample
from bisenet_ros.datasets.class_list import class_list, listed_names, names_in_order
from bisenet_ros.datasets.json_kinds import begins, ends, keys_in, some_json
from bisenet_ros.datasets.json_stream import LARGEST_ENTRY, load
from bisenet_ros.datasets.names import Names, plain, sample_name, stem
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.pictures import IMAGES, read_rgb
from bisenet_ros.datasets.regions.canvas import Canvas, patch_from_text
from bisenet_ros.datasets.regions.polygons import ellipse, points
from bisenet_ros.datasets.tree import Tree
from bisenet_ros.errors import DataError

WITHOUT_AREA = frozenset({"point", "points", "line", "linestrip"})
OUTLINES = frozenset({"polygon", "oriented_rectangle", "rotation", "quadrilateral"})


def recognise_labelme(tree: Tree) -> str | None:
    """Why this is one, or None."""
    for name in some_json(tree):
        if _is_labelme(tree, name):
            return f"{name} has shapes and imagePath"
    return None


def _is_labelme(tree: Tree, name: str) -> bool:
    text = ends(tree, name)
    return begins(text, "{") and keys_in(text, ("shapes", "imagePath")) == 2


def index_labelme(tree: Tree, options: DatasetOptions) -> AnnotatedSet:
    """Read which labels the files use, and pair files and images.

    Folders called train, val or test are splits.

    Raises:
        DataError: a file is broken, an image has no file, a file no image, or labels.txt does not
            list a label.
    """
    images = tuple(tree.below("", IMAGES))
    known = Names(images)
    stems = {stem(name) for name in images}
    files = [
        name
        for name in tree.below("", (".json",))
        if _is_labelme(tree, name) or stem(name) in stems  # a broken one should be named
    ]
    if not files:
        raise DataError(f"{tree.root} has no JSON with shapes; expected labelme's files")
    splits: dict[str, list[Sample]] = {}
    labels: set[str] = set()
    paired: set[str] = set()
    for name in files:
        path = tree.path(name)
        found = read_labelme(path)
        labels.update(str(shape["label"]) for shape in found["shapes"] if _has_area(shape))
        image = _image(tree, name, found, known)
        if image in paired:
            raise DataError(f"{path} belongs to {tree.path(image)}, as another file does; keep one")
        paired.add(image)
        split = _split(name)
        splits.setdefault(split, []).append(Sample(sample_name(image), tree.path(image), path))
    if not options.skip_unlabelled:
        _check_all_labelled(tree, images, paired)
    names, path_of_list = names_in_order(labels, listed_names(tree))
    classes = class_list(names, {}, path_of_list or tree.root, drawn=True)
    return AnnotatedSet(
        format="labelme JSON",
        labels=classes.labels,
        splits={split: tuple(samples) for split, samples in splits.items()},
        decode=LabelmeDecoder(classes.ids, classes.rest),
        notes=() if path_of_list else ("without a labels.txt, ids follow the labels' alphabet",),
    )


def read_labelme(path: Path) -> dict[str, Any]:
    """A file, having seen that it is of labelme's form; DataError if it is not."""
    found = load(path, LARGEST_ENTRY)
    shapes = found.get("shapes") if isinstance(found, dict) else None
    if not isinstance(shapes, list):
        raise DataError(f"{path} has no list of 'shapes'; expected labelme's JSON")
    for index, shape in enumerate(shapes):
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
            raise DataError(f"{path}: shape {index} has no 'label'; save the file with labelme")
    return found


def _has_area(shape: dict[str, Any]) -> bool:
    return shape.get("shape_type") not in WITHOUT_AREA


def _image(tree: Tree, name: str, found: dict[str, Any], known: Names) -> str:
    """The image that the file names, else one of its name beside it."""
    folder = posixpath.dirname(name)
    written = found.get("imagePath")
    candidates = [posixpath.join(folder, plain(written))] if isinstance(written, str) else []
    candidates += [stem(name) + suffix for suffix in IMAGES]
    for candidate in candidates:
        image = known.find(posixpath.normpath(candidate))
        if image is not None:
            return image
    located = tree.locate(written, [folder]) if isinstance(written, str) else None
    if located is not None and located.lower().endswith(IMAGES):
        return located
    raise DataError(
        f"{tree.path(name)} is of image {written!r}, which is not in {tree.root}; copy the image "
        "beside it, or remove the file"
    )


def _check_all_labelled(tree: Tree, images: Iterable[str], paired: set[str]) -> None:
    """See that no image was forgotten in the folders that hold labelled ones."""
    folders = {posixpath.dirname(image) for image in paired}
    stems = {stem(image) for image in paired}  # beside photo.jpg, photo.png is something else
    for image in images:
        if posixpath.dirname(image) in folders and stem(image) not in stems:
            raise DataError(
                f"{tree.path(stem(image))}.json is missing; label the image, or leave such images "
                "out with --skip-unlabelled"
            )


def _split(name: str) -> str:
    for folder in posixpath.dirname(name).split("/"):
        if folder.casefold() in SPLIT_NAMES:
            return split_name(folder)
    return "all"


@dataclass(frozen=True)
class LabelmeDecoder:
    """Draws a file's shapes.

    Attributes:
        ids: of each label.
        rest: the id of pixels that no shape covers.
    """

    ids: Mapping[str, int]
    rest: int

    def __call__(self, sample: Sample) -> np.ndarray:
        """(H, W) uint8; DataError names the shape that is broken."""
        found = read_labelme(sample.label)
        size = found.get("imageHeight"), found.get("imageWidth")
        if not (isinstance(size[0], int) and isinstance(size[1], int)):
            size = read_rgb(sample.image).shape[:2]
        shapes = found["shapes"]
        index = 0
        try:
            canvas = Canvas((size[0], size[1]), self.rest)  # type: ignore[arg-type]
            while index < len(shapes):
                if _has_area(shapes[index]):
                    _draw(canvas, shapes[index], self.ids[shapes[index]["label"]])
                index += 1
        except (ValueError, TypeError, IndexError, OverflowError) as error:
            raise DataError(
                f"{sample.label}: shape {index} of {len(shapes)}: {error}; correct it in labelme, "
                "or remove it"
            ) from error
        except KeyError as error:
            raise DataError(
                f"{sample.label} was changed while it was in use; start again"
            ) from error
        return canvas.ids


def _draw(canvas: Canvas, shape: dict[str, Any], id: int) -> None:
    kind = shape.get("shape_type") or "polygon"
    corners = shape.get("points")
    if kind in OUTLINES:
        canvas.polygon([points(corners)], id)
        return
    if kind not in ("rectangle", "circle", "mask"):
        raise ValueError(f"its type {kind!r} is none of labelme's")
    ends_ = np.asarray(corners, np.float64)
    if kind == "rectangle" and len(ends_) == 4:  # X-AnyLabeling writes all corners
        canvas.polygon([points(corners)], id)
        return
    if ends_.shape != (2, 2) or not np.isfinite(ends_).all():
        raise ValueError(f"it has the points {corners}; expected two of x and y for a {kind}")
    (x0, y0), (x1, y1) = ends_
    if kind == "rectangle":
        canvas.polygon([points([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])], id)
    elif kind == "circle":
        radius = float(np.hypot(x1 - x0, y1 - y0))
        canvas.polygon([ellipse((x0, y0), (radius, radius))], id)
    else:
        canvas.patch(patch_from_text(shape["mask"]), round(x0), round(y0), id)
