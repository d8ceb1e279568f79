"""Label Studio's JSON export, with the images beside it.

A list of tasks, each with its ``data`` (where the image is), and ``annotations`` whose ``result``
lists regions: brush strokes as RLE of RGBA (``regions.rle``), polygons, rectangles and ellipses in
per cent of the image (labelstud.io, "Label Studio Task Format"; label-studio-converter). Later
regions lie on top. The export holds no images and no list of classes: images are looked for by
name, with and without the eight digits that an upload puts in front, and classes are read from
labels.txt or classes.txt if there is one, else they are those in use, by alphabet.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from bisenet_ros.datasets.annotated import AnnotatedSet
from bisenet_ros.datasets.base import Sample
from bisenet_ros.datasets.class_list import class_list, listed_names, names_in_order
from bisenet_ros.datasets.json_kinds import begins, ends, keys_in, some_json
from bisenet_ros.datasets.json_stream import Span, elements, load_entry
from bisenet_ros.datasets.names import sample_name
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.pictures import IMAGES, read_rgb
from bisenet_ros.datasets.regions.canvas import Canvas
from bisenet_ros.datasets.regions.polygons import ellipse, points, rectangle
from bisenet_ros.datasets.regions.rle import decode_label_studio
from bisenet_ros.datasets.tree import Tree
from bisenet_ros.errors import DataError

KINDS = ("brush", "polygon", "rectangle", "ellipse")
_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")


def recognise_label_studio(tree: Tree) -> str | None:
    """Why this is one, or None."""
    files = label_studio_files(tree)
    return f"{files[0]} is a list of tasks with data and annotations" if files else None


def label_studio_files(tree: Tree) -> list[str]:
    """The set's exports."""
    found = []
    for name in some_json(tree):
        text = ends(tree, name)
        if begins(text, "[") and keys_in(text, ("data", "annotations")) == 2:
            found.append(name)
    return found


def index_label_studio(tree: Tree, options: DatasetOptions) -> AnnotatedSet:
    """Read the export once, task by task, and keep where each lies.

    Of several annotations of a task the one marked as ground truth counts, else the newest that was
    not cancelled. Predictions do not count.

    Raises:
        DataError: the export is broken, an image is missing, or a task was not annotated.
    """
    files = label_studio_files(tree)
    if len(files) != 1:
        said = " and ".join(str(tree.path(name)) for name in files[:2]) or "none"
        raise DataError(f"{tree.root} should hold one export of Label Studio, but holds {said}")
    path = tree.path(files[0])
    folder = posixpath.dirname(files[0])
    near = [posixpath.normpath(place) for place in (folder, f"{folder}/images", "", "images")]
    samples: dict[str, Sample] = {}
    labels: set[str] = set()
    for span, task in elements(path):
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            raise DataError(f"{path} has an entry without 'data'; expected Label Studio's JSON")
        number = task.get("id")
        annotation = chosen(task)
        if annotation is None and options.skip_unlabelled:
            continue
        if annotation is None:
            raise DataError(
                f"{path}: task {number!r} has no annotation that was submitted; label it, or leave "
                "such images out with --skip-unlabelled"
            )
        image = _image(tree, near, task)
        if image is None:
            raise DataError(
                f"{path}: the image of task {number!r}, {_written(task)!r}, is not in {tree.root}; "
                "copy the images beside the export, under the names Label Studio shows"
            )
        if image in samples:
            raise DataError(f"{path} has {image!r} in two tasks; keep one of them")
        labels.update(label for label, *_ in _regions(path, number, annotation))
        samples[image] = Sample(sample_name(image), tree.path(image), path, span)
    names, path_of_list = names_in_order(labels, listed_names(tree))
    classes = class_list(names, {}, path_of_list or path, drawn=True)
    return AnnotatedSet(
        format="Label Studio JSON",
        labels=classes.labels,
        splits={"all": tuple(samples[image] for image in sorted(samples))},
        decode=LabelStudioDecoder(classes.ids, classes.rest),
        notes=() if path_of_list else ("without a labels.txt, ids follow the labels' alphabet",),
    )


def chosen(task: dict[str, Any]) -> dict[str, Any] | None:
    """The annotation of a task that counts."""
    found = task.get("annotations") or task.get("completions") or []
    usable = [a for a in found if isinstance(a, dict) and not a.get("was_cancelled")]
    if not usable:
        return None
    truth = [annotation for annotation in usable if annotation.get("ground_truth")]
    return max(truth or usable, key=lambda annotation: str(annotation.get("updated_at") or ""))


def _written(task: dict[str, Any]) -> str:
    """What a task says of where its image is."""
    data = task["data"]
    texts = [value for value in data.values() if isinstance(value, str)]
    pictures = [text for text in texts if unquote(text).lower().endswith(IMAGES)]
    return str(data.get("image") or next(iter(pictures or texts), ""))


def _image(tree: Tree, near: list[str], task: dict[str, Any]) -> str | None:
    written = _written(task)
    parts = urlsplit(written)
    # /data/local-files/?d=FOLDER/NAME is a file of the server, as local storage serves it.
    served = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
    candidates = [served, str(task.get("file_upload") or "")]
    uploaded = _UPLOADED.fullmatch(posixpath.basename(served))
    if uploaded:
        candidates.append(uploaded[1])
    for candidate in filter(None, candidates):
        found = tree.locate(candidate.lstrip("/"), near)
        if found is not None and found.lower().endswith(IMAGES):
            return found
    return None


Region = tuple[str, str, dict[str, Any], dict[str, Any]]


def _regions(path: Any, number: Any, annotation: dict[str, Any]) -> Iterator[Region]:
    """(label, kind, value, result) of each region of an annotation, in order.

    A ``<Labels>`` tag keeps the label in a result of its own with the region's id.
    """
    results = annotation.get("result")
    if not isinstance(results, list) or not all(isinstance(r, dict) for r in results):
        raise DataError(f"{path}: task {number!r} has no list of results; export it again")
    named: dict[Any, list[str]] = {}
    for result in results:
        if result.get("type") == "labels" and isinstance(result.get("value"), dict):
            named[result.get("id")] = result["value"].get("labels") or []
    drawn: set[Any] = set()
    for result in results:
        kind = str(result.get("type", "")).removesuffix("labels")
        value = result.get("value")
        if result.get("type") == "labels" and isinstance(value, dict):
            kind = _kind_of(value)  # the shape itself, in newer versions
        if kind not in KINDS or not isinstance(value, dict):
            continue  # a choice, a text, a key point: no area
        if result.get("id") is not None and result.get("id") in drawn:
            continue
        labels = value.get(f"{kind}labels") or value.get("labels") or named.get(result.get("id"))
        if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
            raise DataError(
                f"{path}: region {result.get('id')!r} of task {number!r} has the labels {labels}; "
                "expected one"
            )
        drawn.add(result.get("id"))
        yield labels[0], kind, value, result


def _kind_of(value: dict[str, Any]) -> str:
    for kind, key in zip(KINDS, ("rle", "points", "width", "radiusX"), strict=True):
        if key in value:
            return kind
    return ""


@dataclass(frozen=True)
class LabelStudioDecoder:
    """Draws a task's regions.

    Attributes:
        ids: of each label.
        rest: the id of pixels that no region covers.
    """

    ids: Mapping[str, int]
    rest: int

    def __call__(self, sample: Sample) -> np.ndarray:
        """(H, W) uint8; DataError names the region that is broken."""
        span: Span = sample.regions
        task = load_entry(sample.label, span)
        number = task.get("id")
        annotation = chosen(task)
        regions = list(_regions(sample.label, number, annotation or {"result": []}))
        region: Any = None
        try:
            sizes = {_size(result) for *_, result in regions} or {read_rgb(sample.image).shape[:2]}
            if len(sizes) > 1:
                raise ValueError(f"its regions are of images of different sizes: {sorted(sizes)}")
            (size,) = sizes
            canvas = Canvas((size[0], size[1]), self.rest)
            for label, kind, value, result in regions:
                region = result.get("id")
                if result.get("image_rotation"):
                    raise ValueError(
                        f"the image was turned by {result['image_rotation']} degrees to label it; "
                        "turn the picture itself"
                    )
                _draw(canvas, kind, value, self.ids[label])
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(
                f"{sample.label}: region {region!r} of task {number!r} ({sample.image.name}): "
                f"{what}; correct it in Label Studio, or remove it"
            ) from error
        return canvas.ids


def _size(result: dict[str, Any]) -> tuple[int, ...]:
    height, width = result["original_height"], result["original_width"]
    if not isinstance(height, int) or not isinstance(width, int):
        raise ValueError(f"its original size is {width!r}×{height!r}; expected whole numbers")
    return height, width


def _draw(canvas: Canvas, kind: str, value: dict[str, Any], id: int) -> None:
    height, width = canvas.size
    scale = np.array([width, height]) / 100
    if kind == "brush":
        if value.get("format", "rle") != "rle":
            raise ValueError(f"its format is {value.get('format')!r}; expected rle")
        canvas.mask(decode_label_studio(value["rle"], canvas.size), id)
    elif kind == "polygon":
        canvas.polygon([points(value["points"]) * scale], id)
    elif kind == "rectangle":
        left, top = float(value["x"]) * scale[0], float(value["y"]) * scale[1]
        across, down = float(value["width"]) * scale[0], float(value["height"]) * scale[1]
        turn = float(value.get("rotation") or 0)
        canvas.polygon([points(rectangle(left, top, across, down, turn))], id)
    else:
        centre = float(value["x"]) * scale[0], float(value["y"]) * scale[1]
        radii = float(value["radiusX"]) * scale[0], float(value["radiusY"]) * scale[1]
        turn = float(value.get("rotation") or 0)
        canvas.polygon([points(ellipse(centre, radii, turn))], id)
