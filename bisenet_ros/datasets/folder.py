"""Your own images and masks, with a YAML file that lists the classes."""

from __future__ import annotations

from pathlib import Path

from bisenet_ros.datasets.base import LabelledSet, Sample
from bisenet_ros.datasets.files import folders_in, images_in, label_of, labels_in
from bisenet_ros.datasets.folder_masks import folder_masks
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.pictures import IMAGES, image_size
from bisenet_ros.datasets.splitting import BY_SHARE, held_out
from bisenet_ros.errors import DataError

LABEL_FILE = "labels.yaml"


def open_folder(root: Path, split: str, options: DatasetOptions | None = None) -> LabelledSet:
    """``root/images/**`` and ``root/masks/**`` of the same names, ``root/labels.yaml``.

    Masks are PNGs of ids of 8 or 16 bits, of colours, or with a palette (``MaskDecoder``);
    ``read_label_file`` has the form of labels.yaml, and ``folder_masks`` says what masks of 0 and
    255 mean. What belongs to ``split`` is decided by the first of these that is there:

    1. ``root/SPLIT/images`` and ``root/SPLIT/masks``;
    2. ``root/SPLIT.txt``, one name per line (its path below images/, with or without suffix);
    3. a share of the images is ``val`` and the rest ``train``, see ``splitting.held_out``.

    Raises:
        ArgumentError: ``val_share`` or ``group_by`` is not as it should be.
        DataError: labels.yaml, the split, a listed image or a mask is missing.
    """
    options = options or DatasetOptions()
    listed = folder_masks(root / LABEL_FILE, _all_masks(root))
    own = root / split / "images"
    folder = own.parent if own.is_dir() else root
    images = images_in(
        folder / "images", f"images/NAME.jpg or .png there, or {root.name}/SPLIT/images/"
    )
    masks = labels_in(folder / "masks")
    divided = folder == root and not (root / f"{split}.txt").is_file()
    if folder == root:
        images = _part(root, images, split, options)
    samples = tuple(
        Sample(name, path, label_of(name, masks, folder / "masks")) for name, path in images.items()
    )
    named = f"{root.resolve().name} {split}: {len(samples)} images, {len(listed.labels)} classes"
    return LabelledSet(
        labels=listed.labels,
        samples=samples,
        decode=listed.decode,
        resolution=listed.resolution or image_size(samples[0].image),
        source=f"{listed.source}; {named}" if listed.source else named,
        licence=listed.licence or "not stated",
        split=split,
        resize_masks=options.resize_masks,
        notes=listed.notes,
        divided=divided,
    )


def folder_splits(root: Path) -> list[str]:
    """The names of the splits of a folder, see ``open_folder``."""
    own = [path.parent.name for path in sorted(root.glob("*/masks")) if path.is_dir()]
    own = [name for name in own if (root / name / "images").is_dir()]
    lists = [name for name in (*BY_SHARE, "test") if (root / f"{name}.txt").is_file()]
    return own or lists or list(BY_SHARE)


def _all_masks(root: Path) -> list[Path]:
    """The masks of every split."""
    folders = [root / "masks", *sorted(root.glob("*/masks"))]
    return [path for folder in folders for path in labels_in(folder).values()]


def _part(
    root: Path, images: dict[str, Path], split: str, options: DatasetOptions
) -> dict[str, Path]:
    """The images of ``split``, from a list or by share."""
    chosen = root / f"{split}.txt"
    if chosen.is_file():
        return {name: images[name] for name in _listed(chosen, images)}
    lists = [f"{other}.txt" for other in BY_SHARE if (root / f"{other}.txt").is_file()]
    if lists:
        raise DataError(
            f"{chosen} is missing, but {lists[0]} exists; write one image name per line"
        )
    if split not in BY_SHARE:
        raise DataError(
            f"{root} has neither {split}.txt nor {split}/images; it has the folders "
            f"{folders_in(root)}, so only the splits train and val exist"
        )
    held = held_out(list(images), options)
    return {name: path for name, path in images.items() if (name in held) == (split == "val")}


def _listed(path: Path, images: dict[str, Path]) -> list[str]:
    """The names in a list of images; empty lines and lines of # comment are skipped."""
    names = []
    for number, line in enumerate(
        path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1
    ):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        known = entry if entry in images else _without_suffix(entry)
        if known not in images:
            raise DataError(
                f"{path} line {number} names {entry!r}, which is not in images/; "
                "expected paths relative to images/, without suffix"
            )
        names.append(known)
    if not names:
        raise DataError(f"{path} is empty; expected one image name per line")
    return names


def _without_suffix(entry: str) -> str:
    return entry[: entry.rindex(".")] if entry.lower().endswith(IMAGES) else entry
