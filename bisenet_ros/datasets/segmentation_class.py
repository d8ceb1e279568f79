"""The layout that PASCAL VOC, CVAT and labelme's converter share: SegmentationClass beside images.

::

    JPEGImages/NAME.jpg               images; CVAT leaves them out unless asked for
    SegmentationClass/NAME.png        masks; labelme's converter: SegmentationClassPNG/ beside .npy
    ImageSets/Segmentation/SPLIT.txt  one NAME a line

Names may have folders in them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from bisenet_ros.datasets.annotated import split_name
from bisenet_ros.datasets.base import Sample
from bisenet_ros.datasets.names import Names, stem
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.pictures import IMAGES
from bisenet_ros.datasets.tree import Tree
from bisenet_ros.errors import DataError

MASKS = ("SegmentationClass", "SegmentationClassPNG")
PICTURES = ("JPEGImages", "images", "Images")
LISTS = "ImageSets/Segmentation"
COMBINED = frozenset({"trainval"})  # VOC's list of both; its images would be in two splits


def mask_folder(tree: Tree) -> str | None:
    """The folder of the masks, None if there is none with a PNG in it."""
    for folder in MASKS:
        if any(True for _ in tree.below(folder, (".png",))):
            return folder
    return None


def samples_by_split(tree: Tree, options: DatasetOptions) -> dict[str, tuple[Sample, ...]]:
    """The images of each list in ImageSets, or all masks as one split where there are no lists.

    Raises:
        DataError: a listed image or mask is missing, or an image is listed twice.
    """
    folder = mask_folder(tree)
    if folder is None:
        raise DataError(f"{tree.root} has no PNG in {MASKS[0]}/; expected a mask for each image")
    masks = tree.by_stem(folder, (".png",))
    images = _images(tree)
    mask_names, image_names = Names(masks), Names(images)
    lists = _lists(tree)
    if not lists:
        lists = {"all": _all(tree, mask_names, masks, images, options)}
    splits: dict[str, tuple[Sample, ...]] = {}
    for split, names in lists.items():
        samples = []
        for written in names:
            name = written
            if written.lower().endswith(IMAGES) and mask_names.find(written) is None:
                name = stem(written)  # lists that people wrote have suffixes
            image, mask = image_names.find(name), mask_names.find(name)
            if mask is None and options.skip_unlabelled:
                continue
            if mask is None:
                raise DataError(
                    f"{tree.root / folder / name}.png is missing, though {LISTS}/ lists the image; "
                    "label it, or leave such images out with --skip-unlabelled"
                )
            if image is None:
                raise _no_image(tree, name, bool(images))
            samples.append(Sample(name, tree.path(images[image]), tree.path(masks[mask])))
        splits[split] = tuple(samples)
    return splits


def _images(tree: Tree) -> dict[str, str]:
    for folder in PICTURES:
        images = tree.images_by_stem(folder)
        if images:
            return images
    return {}


def _no_image(tree: Tree, name: str, some: bool) -> DataError:
    if some:
        return DataError(f"{tree.root / PICTURES[0] / name}.jpg or .png is missing; add the image")
    return DataError(
        f"{tree.root} has masks but no {PICTURES[0]}/; export again with images (CVAT: switch on "
        f"'Save images'), or copy the images to {PICTURES[0]}/"
    )


def _lists(tree: Tree) -> dict[str, list[str]]:
    """Names by split; for each file in ImageSets/Segmentation."""
    lists: dict[str, list[str]] = {}
    for file in tree.below(LISTS, (".txt",)):
        written = stem(posixpath.basename(file))
        if written in COMBINED:
            continue
        lists.setdefault(split_name(written), []).extend(_names(tree, file))
    return lists


def _names(tree: Tree, file: str) -> list[str]:
    path = tree.path(file)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text; expected one name a line") from error
    names: list[str] = []
    seen: set[str] = set()
    for line in lines:
        name = line.strip().replace("\\", "/").strip('"')
        if not name or name.startswith("#"):
            continue
        if name in seen:
            raise DataError(f"{path} lists {name!r} twice; remove one of them")
        seen.add(name)
        names.append(name)
    return names


def _all(
    tree: Tree,
    mask_names: Names,
    masks: Iterable[str],
    images: Iterable[str],
    options: DatasetOptions,
) -> list[str]:
    """Every mask's name, having seen that every image has one."""
    if not options.skip_unlabelled:
        for image in images:
            if mask_names.find(image) is None:
                raise DataError(
                    f"{tree.root / MASKS[0] / image}.png is missing; label the image, or leave "
                    "such images out with --skip-unlabelled"
                )
    return list(masks)
