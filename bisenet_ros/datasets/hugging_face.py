"""Data sets in the forms of Hugging Face: parquet files of images, and image folders with a list.

Parquet files hold a column of images and one of masks (``Image`` features, or structs of ``bytes``
and ``path``), in files such as ``data/train-00000-of-00004.parquet``; reading them takes the
package ``datasets``. An image folder has ``metadata.jsonl`` or ``metadata.csv`` with ``file_name``
and a second column of file names (https://huggingface.co/docs/datasets/image_dataset). Neither form
says what the ids mean: ``id2label.json`` does, as the model hub has it, or a ``labels.yaml``.
"""

from __future__ import annotations

import csv
import json
import posixpath
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bisenet_ros.datasets.annotated import AnnotatedSet, split_name
from bisenet_ros.datasets.archive import GIB, SPARE, temporary_folder
from bisenet_ros.datasets.base import Sample
from bisenet_ros.datasets.class_list import class_list
from bisenet_ros.datasets.json_stream import load
from bisenet_ros.datasets.label_file import read_label_file
from bisenet_ros.datasets.mask_decoder import MaskDecoder
from bisenet_ros.datasets.names import stem
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.tree import Tree
from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED, LabelSet
from bisenet_ros.system.optional import needed

PARQUET = ".parquet"
LISTS = ("metadata.jsonl", "metadata.csv")
ID2LABEL, LABEL_FILE = "id2label.json", "labels.yaml"
PICTURE_COLUMNS = ("image", "pixel_values", "img", "picture")
MASK_COLUMNS = ("label", "labels", "mask", "masks", "annotation", "segmentation", "semantic_mask")
FILE_NAME = "file_name"
_PART = re.compile(r"-\d+-of-\d+.*$")  # of the number of a file among those of its split
_MAGIC = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"BM": ".bmp"}

_extracted: dict[tuple[str, ...], dict[str, tuple[Sample, ...]]] = {}


def recognise_hugging_face(tree: Tree) -> str | None:
    """Why this is one, or None."""
    for name in tree.below("", (PARQUET,)):
        return f"it has {name}"
    for name in _lists(tree):
        if _mask_column(tree.path(name)):
            return f"{name} pairs images and masks"
    return None


def index_hugging_face(tree: Tree, options: DatasetOptions) -> AnnotatedSet:
    """Pair images and masks; those in parquet files are copied to a temporary folder first.

    Raises:
        ArgumentError: there are parquet files, and ``datasets`` is not installed.
        DataError: a file is broken, an image has no mask, or nothing says what the ids mean.
    """
    labels, decode = _classes(tree)
    parquet = tuple(tree.below("", (PARQUET,)))
    splits = _from_parquet(tree, parquet) if parquet else _from_lists(tree, options)
    return AnnotatedSet("Hugging Face", labels, splits, decode)


def _classes(tree: Tree) -> tuple[LabelSet, MaskDecoder]:
    """What ``id2label.json`` or ``labels.yaml`` says."""
    for name in (ID2LABEL, f"data/{ID2LABEL}"):
        if name in tree.files:
            return _id2label(tree.path(name))
    path = tree.path(LABEL_FILE)
    if not path.is_file():
        raise DataError(
            f"{tree.root} does not say what the ids in its masks mean; add {ID2LABEL} of the form "
            '{"0": "road", "1": "car"} (the model hub has it for its data sets), or '
            f"{LABEL_FILE} (docs/data.md)"
        )
    listed = read_label_file(path)
    ids = dict.fromkeys(listed.ignored_ids, UNLABELLED)
    ids |= {number: index for index, number in enumerate(listed.ids)}
    colours = dict.fromkeys(listed.ignored_colours, UNLABELLED)
    colours |= {colour: index for index, colour in enumerate(listed.labels.colours)}
    return listed.labels, MaskDecoder(ids, colours, LABEL_FILE)


def _id2label(path: Path) -> tuple[LabelSet, MaskDecoder]:
    written = load(path)
    good = isinstance(written, dict) and all(
        key.isdecimal() and isinstance(name, str) for key, name in written.items()
    )
    if not good:
        raise DataError(f'{path} is not of the form {{"0": "road", "1": "car"}}; correct it')
    names = {int(key): written[key] for key in sorted(written, key=int)}
    classes = class_list(list(names.values()), {}, path, drawn=False)
    ids = {number: classes.ids[name] for number, name in names.items()}
    return classes.labels, MaskDecoder(ids, listed=path.name)


def _from_parquet(tree: Tree, names: tuple[str, ...]) -> Mapping[str, tuple[Sample, ...]]:
    """The images and masks of every split, as files of a temporary folder; once in a process."""
    datasets = needed("datasets", "huggingface", "reading parquet files")
    key = tuple(f"{tree.path(name)} {tree.path(name).stat().st_mtime_ns}" for name in names)
    if key in _extracted:
        return _extracted[key]
    folder = temporary_folder()
    _check_room(tree, names, folder)
    parts: dict[str, list[str]] = {}
    for name in names:
        parts.setdefault(_split(name), []).append(str(tree.path(name)))
    found: dict[str, tuple[Sample, ...]] = {}
    for split, files in parts.items():
        try:
            rows = datasets.load_dataset(
                "parquet", data_files=files, split="train", streaming=True, cache_dir=str(folder)
            )
            found[split] = tuple(_extract(datasets, rows, tree, folder / "files" / split, split))
        except DataError:
            raise
        except Exception as error:  # pyarrow and datasets have many errors of their own
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{files[0]} cannot be read as parquet: {reason}") from error
    _extracted[key] = found
    return found


def _check_room(tree: Tree, names: tuple[str, ...], folder: Path) -> None:
    size = sum(tree.path(name).stat().st_size for name in names)
    free = shutil.disk_usage(folder).free - SPARE
    if size > free:
        raise DataError(
            f"the parquet files in {tree.root} take {size / GIB:.1f} GiB in {folder.parent}, which "
            f"has {max(0.0, free / GIB):.1f}; set TMPDIR to another disk"
        )


def _split(name: str) -> str:
    """``data/train-00000-of-00004.parquet`` is of train, as is ``train/0000.parquet``."""
    plain = _PART.sub("", stem(posixpath.basename(name)))
    folder = posixpath.basename(posixpath.dirname(name))
    return split_name(folder if plain.isdecimal() and folder else plain)


def _extract(datasets: Any, rows: Any, tree: Tree, folder: Path, split: str) -> Iterator[Sample]:
    """Write each row's two images."""
    picture, mask = _columns(tree, list(rows.features))
    for column in (picture, mask):
        rows = rows.cast_column(column, datasets.Image(decode=False))
    folder.mkdir(parents=True)
    for number, row in enumerate(rows):
        name = f"{number:06d}"
        files = []
        for column in (picture, mask):
            content = (row[column] or {}).get("bytes")
            if not content:
                raise DataError(
                    f"{tree.root}: row {number} of {split} has no image in {column!r}; expected "
                    "the bytes of a PNG or JPEG file"
                )
            suffix = next((s for magic, s in _MAGIC.items() if content.startswith(magic)), ".png")
            files.append(folder / f"{name}.{column}{suffix}")
            files[-1].write_bytes(content)
        yield Sample(f"{split}/{name}", *files)


def _columns(tree: Tree, columns: list[str]) -> tuple[str, str]:
    """The columns of images and of masks."""
    pictures = [name for name in columns if name.casefold() in PICTURE_COLUMNS]
    masks = [name for name in columns if name.casefold() in MASK_COLUMNS]
    if len(pictures) != 1 or len(masks) != 1:
        raise DataError(
            f"{tree.root} has the columns {', '.join(columns)}; expected one of "
            f"{', '.join(PICTURE_COLUMNS)} and one of {', '.join(MASK_COLUMNS)}"
        )
    return pictures[0], masks[0]


def _lists(tree: Tree) -> list[str]:
    return [name for name in tree.below("", LISTS) if posixpath.basename(name) in LISTS]


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a list."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".csv":
                yield from csv.DictReader(file)
                return
            for line in file:
                if line.strip():
                    entry = json.loads(line)
                    yield entry if isinstance(entry, dict) else {}
    except (UnicodeDecodeError, ValueError, csv.Error, RecursionError) as error:
        raise DataError(f"{path} is not a list of images: {error}") from error


def _mask_column(path: Path) -> str | None:
    """The column of the masks' file names, if the list has one."""
    try:
        first = next(_entries(path), {})
    except DataError:
        return None
    if FILE_NAME not in first:
        return None
    wanted = {f"{name}_{FILE_NAME}" for name in MASK_COLUMNS} | set(MASK_COLUMNS)
    return next((key for key in first if key in wanted), None)


def _from_lists(tree: Tree, options: DatasetOptions) -> dict[str, tuple[Sample, ...]]:
    found: dict[str, tuple[Sample, ...]] = {}
    for name in _lists(tree):
        folder = posixpath.dirname(name)
        split = split_name(posixpath.basename(folder) or "all")
        found[split] = found.get(split, ()) + tuple(_listed(tree, name, options))
    return found


def _listed(tree: Tree, name: str, options: DatasetOptions) -> Iterator[Sample]:
    path, folder = tree.path(name), posixpath.dirname(name)
    column = _mask_column(path)
    for number, entry in enumerate(_entries(path), 1):
        written = [entry.get(key) for key in (FILE_NAME, column or "")]
        if written[0] and not written[1] and options.skip_unlabelled:
            continue
        if not all(isinstance(one, str) and one for one in written):
            raise DataError(
                f"{path} entry {number} is {entry}; expected {FILE_NAME} and a file name in "
                f"{column!r}; --skip-unlabelled leaves out images without a mask"
            )
        image, mask = (tree.names.find(posixpath.normpath(f"{folder}/{one}")) for one in written)
        for one, place in zip(written, (image, mask), strict=True):
            if place is None:
                raise DataError(f"{path} lists {one!r}, which is not in {path.parent}; add it")
        assert image is not None and mask is not None
        yield Sample(stem(image), tree.path(image), tree.path(mask))
