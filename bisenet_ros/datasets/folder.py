"""Your own images and masks, with a YAML file that lists the classes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bisenet_ros.datasets.base import LabelledSet, Sample
from bisenet_ros.datasets.files import folders_in, images_in, label_of, labels_in
from bisenet_ros.datasets.label_file import read_label_file
from bisenet_ros.datasets.pictures import IMAGES, image_size
from bisenet_ros.errors import ArgumentError, DataError

LABEL_FILE = "labels.yaml"
BY_SHARE = ("train", "val")  # the splits if there are no lists


def open_folder(root: Path, split: str, val_share: float = 0.2, seed: int = 1) -> LabelledSet:
    """``root/images/**`` and ``root/masks/**`` with the same names, and ``root/labels.yaml``.

    Masks are PNGs of ids or of colours; see ``read_label_file`` for the format of labels.yaml.
    The first of these that exists defines ``split``:

    1. ``root/SPLIT/images`` and ``root/SPLIT/masks``;
    2. ``root/SPLIT.txt``, one name per line (its path below images/, with or without suffix);
    3. a fraction ``val_share`` of the images is ``val`` and the rest ``train``; a ``seed`` always
       gives the same split, on every machine.

    Raises:
        ArgumentError: ``val_share`` is not between 0 and 1.
        DataError: labels.yaml, the split, a listed image or a mask is missing.
    """
    if not 0 < val_share < 1:
        raise ArgumentError(f"val_share is {val_share}; expected a fraction between 0 and 1")
    listed = read_label_file(root / LABEL_FILE)
    own = root / split / "images"
    folder = own.parent if own.is_dir() else root
    images = images_in(
        folder / "images", f"images/NAME.jpg or .png there, or {root.name}/SPLIT/images/"
    )
    if folder == root:
        images = _part(root, images, split, val_share, seed)
    masks = labels_in(folder / "masks")
    samples = tuple(
        Sample(name, path, label_of(name, masks, folder / "masks")) for name, path in images.items()
    )
    named = f"{root.resolve().name} {split}: {len(samples)} images, {len(listed.labels)} classes"
    return LabelledSet(
        labels=listed.labels,
        samples=samples,
        decode=listed.decoder(),
        resolution=listed.resolution or image_size(samples[0].image),
        source=f"{listed.source}; {named}" if listed.source else named,
        licence=listed.licence or "not stated",
        split=split,
    )


def _part(
    root: Path, images: dict[str, Path], split: str, val_share: float, seed: int
) -> dict[str, Path]:
    """The images of ``split``, from a list or by hash."""
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
    held = by_share(list(images), val_share, seed)
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


def by_share(names: list[str], share: float, seed: int) -> set[str]:
    """``share`` of the names, at least one and not all, chosen by a hash of seed and name.

    A hash rather than a shuffle, so that adding images later moves hardly any others between the
    splits.

    Raises:
        DataError: there are fewer than two names.
    """
    if len(names) < 2:
        raise DataError(f"the set has {len(names)} image; expected at least 2 to split it")
    count = min(max(1, round(len(names) * share)), len(names) - 1)
    keys = {name: hashlib.sha256(f"{seed} {name}".encode()).digest() for name in names}
    return set(sorted(names, key=keys.__getitem__)[:count])
