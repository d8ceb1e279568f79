"""All kinds of data sets by name. To add one, write a reader and add an entry here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bisenet_ros.datasets.archive import is_archive
from bisenet_ros.datasets.base import LabelledSet
from bisenet_ros.datasets.camvid import open_camvid
from bisenet_ros.datasets.cityscapes import open_cityscapes
from bisenet_ros.datasets.coco_stuff import open_coco_stuff
from bisenet_ros.datasets.folder import folder_splits, open_folder
from bisenet_ros.datasets.grouping import with_classes
from bisenet_ros.datasets.holding_out import RESPLIT, check_hold_out, divided_by_group
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.readers import READERS
from bisenet_ros.datasets.recognition import (
    AUTO,
    Recognised,
    recognise,
    recognise_camvid,
    recognise_cityscapes,
    recognise_coco_stuff,
    recognise_folder,
)
from bisenet_ros.datasets.splitting import check_options
from bisenet_ros.datasets.synthetic_shapes import open_shapes
from bisenet_ros.datasets.tree import Tree, read_tree
from bisenet_ros.errors import ArgumentError


@dataclass(frozen=True)
class DatasetSpec:
    """One kind of data set.

    Attributes:
        open: reads the names of a split's files from the set's folder; ``check`` reads the labels.
            Raises DataError if the set or the split is missing, or an image has no label.
        help: one-line description.
        has_stuff: whether it separates stuff and things.
        makes_its_own: whether it is generated if the folder is missing.
        recognise: why a folder is of this kind, in words, or None if it is not.
        open_all: every split; None where ``splits`` tells which there are.
        splits: names of the splits in a folder.
    """

    open: Callable[[Path, str, DatasetOptions], LabelledSet]
    help: str
    has_stuff: bool = False
    makes_its_own: bool = False
    recognise: Callable[[Tree], str | None] = lambda _: None
    open_all: Callable[[Path, DatasetOptions], dict[str, LabelledSet]] | None = None
    splits: Callable[[Path], Sequence[str]] = lambda _: ("train", "val")


def _folders_with(*needed: str) -> Callable[[Path], Sequence[str]]:
    """Splits are the folders that hold other folders."""

    def splits(root: Path) -> Sequence[str]:
        found = (path for path in sorted(root.glob("*")) if path.is_dir())
        return [path.name for path in found if all((path / name).is_dir() for name in needed)]

    return splits


def _cityscapes_splits(root: Path) -> Sequence[str]:
    names = sorted(path.name for path in (root / "leftImg8bit").glob("*"))
    return [name for name in names if (root / "gtFine" / name).is_dir()]


def _coco_stuff_splits(root: Path) -> Sequence[str]:
    return [name for name in ("train", "val") if (root / f"annotations/{name}2017").is_dir()]


def _open_folder(root: Path, split: str, options: DatasetOptions) -> LabelledSet:
    read_tree(root)  # refuses links that lead out of the set
    return open_folder(root, split, options)


def _open_auto(root: Path, split: str, options: DatasetOptions) -> LabelledSet:
    return open_set(AUTO, root, split, options)


DATASETS: dict[str, DatasetSpec] = {
    AUTO: DatasetSpec(_open_auto, "whichever of the others the folder or zip turns out to be"),
    "camvid": DatasetSpec(
        lambda root, split, _: open_camvid(root, split),
        "CamVid, 11 classes, SegNet or original labels",
        recognise=recognise_camvid,
        splits=_folders_with("images", "labels"),
    ),
    "cityscapes": DatasetSpec(
        lambda root, split, _: open_cityscapes(root, split),
        "Cityscapes, fine labels, 19 classes",
        recognise=recognise_cityscapes,
        splits=_cityscapes_splits,
    ),
    "coco-stuff": DatasetSpec(
        lambda root, split, options: open_coco_stuff(root, split, options.stuff_only),
        "COCO-Stuff, 171 classes",
        has_stuff=True,
        recognise=recognise_coco_stuff,
        splits=_coco_stuff_splits,
    ),
    "folder": DatasetSpec(
        _open_folder,
        "your own images/ and masks/ with a labels.yaml",
        recognise=recognise_folder,
        splits=folder_splits,
    ),
    "shapes": DatasetSpec(
        open_shapes,
        "synthetic shapes, written into the folder if it is empty or missing",
        makes_its_own=True,
        splits=folder_splits,
    ),
    **{
        name: DatasetSpec(
            reader.open, reader.help, recognise=reader.recognise, open_all=reader.open_all
        )
        for name, reader in READERS.items()
    },
}


def open_set(
    kind: str, root: str | Path, split: str, options: DatasetOptions | None = None
) -> LabelledSet:
    """A split of a data set on disk.

    Args:
        kind: a key of ``DATASETS``; ``auto`` finds out which.
        root: the folder of the set, or a zip of it.
        split: ``train``, ``val``, or what else the set has.
        options: defaults if None.

    Raises:
        ArgumentError: there is no such kind, an option does not fit it, or several kinds fit.
        DataError: the set or the split is not there, an image has no label, or no kind fits.
    """
    found, options = _resolved(kind, Path(root), options)
    spec = DATASETS[found.format]
    if options.hold_out and split in RESPLIT:
        return _grouped(
            divided_by_group(_every_split(spec, found.root, options), options)[split], options
        )
    return _grouped(spec.open(found.root, split, options), options)


def open_every_split(
    kind: str, root: str | Path, options: DatasetOptions | None = None
) -> tuple[Recognised, dict[str, LabelledSet]]:
    """What a data set is, and all its splits, see ``open_set``.

    Raises:
        ArgumentError: as ``open_set``.
        DataError: as ``open_set``, for whichever split comes first.
    """
    found, options = _resolved(kind, Path(root), options)
    splits = _every_split(DATASETS[found.format], found.root, options)
    if options.hold_out:
        splits |= divided_by_group(splits, options)
    return found, {name: _grouped(split, options) for name, split in splits.items()}


def _every_split(spec: DatasetSpec, root: Path, options: DatasetOptions) -> dict[str, LabelledSet]:
    """All splits as they are on disk, or as ``val_share`` makes them."""
    if spec.open_all is not None:
        return spec.open_all(root, options)
    names = spec.splits(root) or ("train",)  # whose absence is explained when opened
    return {name: spec.open(root, name, options) for name in names}


def _grouped(labelled: LabelledSet, options: DatasetOptions) -> LabelledSet:
    """The split with the classes asked for, if it was divided as asked for."""
    if options.group_by and not options.hold_out and not labelled.divided:
        raise ArgumentError(
            f"group_by is {options.group_by!r}, but the data set says itself what is "
            f"{labelled.split}; drop group_by, name the group to hold_out, or remove the lists or "
            "folders of the splits"
        )
    return with_classes(labelled, options.classes) if options.classes else labelled


def find_kind(kind: str, root: Path) -> Recognised:
    """Which kind of data set is meant, and where it lies: ``auto`` looked up, a zip unpacked.

    Raises:
        ArgumentError: there is no such kind, or several fit.
        DataError: none fits, or the zip is refused.
    """
    if kind not in DATASETS:
        raise ArgumentError(f"dataset is {kind!r}; expected one of {', '.join(DATASETS)}")
    if kind == AUTO:
        return recognise(root, {name: spec.recognise for name, spec in DATASETS.items()})
    return Recognised(kind, "as told", read_tree(root).root if is_archive(root) else root)


def _resolved(
    kind: str, root: Path, options: DatasetOptions | None
) -> tuple[Recognised, DatasetOptions]:
    options = options or DatasetOptions()
    check_options(options)
    check_hold_out(options)
    found = find_kind(kind, root)
    if options.stuff_only and not DATASETS[found.format].has_stuff:
        having = " and ".join(name for name, spec in DATASETS.items() if spec.has_stuff)
        raise ArgumentError(
            f"stuff_only is set for {found.format}, but only applies to {having}; drop it"
        )
    return found, options
