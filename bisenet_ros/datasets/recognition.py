"""Finds out which format a folder or zip is of, and says why."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bisenet_ros.datasets.pictures import IMAGES
from bisenet_ros.datasets.tree import Tree, read_tree
from bisenet_ros.errors import ArgumentError, DataError

Recognise = Callable[[Tree], "str | None"]
AUTO = "auto"
LABEL_WORDS = ("mask", "label", "ann", "gt", "seg")  # in names of folders
SHOWN = 6  # kinds of files, folders


@dataclass(frozen=True)
class Recognised:
    """What a folder or zip was found to be.

    Attributes:
        format: a key of the table that was asked.
        why: what gave it away.
        root: the folder with the set: the one given, one further down, or where a zip is unpacked.
    """

    format: str
    why: str
    root: Path


def recognise(path: Path, formats: Mapping[str, Recognise]) -> Recognised:
    """The one format that fits.

    Args:
        path: a folder or zip.
        formats: what to ask, by name.

    Raises:
        ArgumentError: several fit; they are listed with their reasons.
        DataError: none fits; what was seen is told, and the least that would do.
    """
    tree = read_tree(path)
    found = {name: why for name, ask in formats.items() if (why := ask(tree)) is not None}
    if not found:
        raise DataError(f"{path} is of no format known here: {seen(tree)}; {advice(tree)}")
    if len(found) > 1:
        listed = "; ".join(f"{name}: {why}" for name, why in found.items())
        raise ArgumentError(
            f"{path} may be of {len(found)} formats ({listed}); name one with --dataset"
        )
    ((name, why),) = found.items()
    return Recognised(name, why, tree.root)


def recognise_camvid(tree: Tree) -> str | None:
    """Why this is CamVid's layout, or None."""
    if tree.names.find("labels.yaml") or tree.names.find("_classes.csv"):
        return None
    for split in _tops(tree):
        if _has(tree, f"{split}/images", IMAGES) and _has(tree, f"{split}/labels", (".png",)):
            return f"it has {split}/images/ and {split}/labels/ with PNGs, and no labels.yaml"
    return None


def recognise_cityscapes(tree: Tree) -> str | None:
    """Why this is Cityscapes, or None."""
    if _has(tree, "leftImg8bit", (".png",)) and _has(tree, "gtFine", (".png",)):
        return "it has leftImg8bit/ and gtFine/"
    return None


def recognise_coco_stuff(tree: Tree) -> str | None:
    """Why this is COCO-Stuff, or None."""
    for split in ("train2017", "val2017"):
        if _has(tree, f"annotations/{split}", (".png",)) and _has(tree, f"images/{split}", IMAGES):
            return f"it has images/{split}/ and annotations/{split}/ with PNGs"
    return None


def recognise_folder(tree: Tree) -> str | None:
    """Why this is a folder of images and masks, or None."""
    listed = tree.names.find("labels.yaml") is not None
    for place in ("", *(f"{split}/" for split in _tops(tree))):
        if _has(tree, f"{place}images", IMAGES) and _has(tree, f"{place}masks", (".png",)):
            also = "labels.yaml" if listed else "no labels.yaml"
            return f"it has {place}images/, {place}masks/ and {also}"
    return None


def seen(tree: Tree) -> str:
    """What a folder holds, for people: "210 .jpg, 1 .json in the folders a and b"."""
    if not tree.files:
        return "it holds no files"
    kinds = Counter(
        posixpath.splitext(name)[1].lower() or "no suffix" for name in sorted(tree.files)
    )
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(SHOWN))
    folders = sorted(tree.folders, key=lambda folder: (folder.count("/"), folder))
    where = ", ".join(f"{folder}/" for folder in folders[:SHOWN])
    more = ", …" if len(folders) > SHOWN else ""
    return f"it holds {said}" + (f" in {where}{more}" if where else ", and no folders")


def advice(tree: Tree) -> str:
    """The smallest change that would make it a format."""
    images = [name for name in tree.files if name.lower().endswith(IMAGES)]
    if not images:
        return (
            "there are no images: copy them in, or export with images "
            "(CVAT: 'Save images'; Label Studio: copy them beside the JSON)"
        )
    masks = [name for name in tree.files if name.lower().endswith(".png")]
    if _has(tree, "images", IMAGES):
        beside = sorted(
            folder for folder in _tops(tree) if folder != "images" and _has(tree, folder, (".png",))
        )
        if beside:
            return f"rename {beside[0]}/ to masks/ and write labels.yaml (docs/data.md)"
        return "put a PNG of class ids for each image, of the same name, into masks/"
    halves = _halves(tree)
    if halves:
        return (
            f"rename {halves[0]}/ to images/ and {halves[1]}/ to masks/, and write labels.yaml "
            "(docs/data.md)"
        )
    if len(masks) == len(images) or not masks:
        return "there are images but no labels: put a PNG of class ids for each into masks/"
    return (
        "put the images into images/, a PNG of class ids for each, of the same name, into masks/, "
        "and write labels.yaml (docs/data.md)"
    )


def _halves(tree: Tree) -> tuple[str, str] | None:
    """Two folders with the same names in them, of which the second holds PNGs."""
    stems = {
        folder: {posixpath.splitext(posixpath.basename(n))[0] for n in tree.below(folder, IMAGES)}
        for folder in _tops(tree)
    }
    for first, names in stems.items():
        for second, others in stems.items():
            pngs = all(n.lower().endswith(".png") for n in tree.below(second, IMAGES))
            labels = any(word in second.casefold() for word in LABEL_WORDS)
            if first != second and names and names == others and pngs and labels:
                return first, second
    return None


def _tops(tree: Tree) -> list[str]:
    return sorted(folder for folder in tree.folders if "/" not in folder)


def _has(tree: Tree, folder: str, suffixes: tuple[str, ...]) -> bool:
    return any(True for _ in tree.below(folder, suffixes))
