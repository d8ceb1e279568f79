"""How the masks of anybody's folder are to be read: as labels.yaml says, or as 0 and 255."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bisenet_ros.datasets.base import Sample
from bisenet_ros.datasets.class_list import BACKGROUND, voc_colour
from bisenet_ros.datasets.decoding import ranges
from bisenet_ros.datasets.label_file import LabelFile, read_label_file
from bisenet_ros.datasets.mask_decoder import MaskDecoder
from bisenet_ros.datasets.pictures import read_label
from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED, LabelSet

OBJECT = "object"
WHITE = 255
LOOKED_AT = 64  # masks, spread over the set; the others are checked when they are read


@dataclass(frozen=True)
class FolderMasks:
    """Classes of a folder, and how its masks become their ids.

    Attributes:
        labels: the classes.
        decode: the ids of a sample.
        source, licence, resolution: as labels.yaml has them.
        notes: what was assumed.
    """

    labels: LabelSet
    decode: Callable[[Sample], np.ndarray]
    source: str = ""
    licence: str = ""
    resolution: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


def folder_masks(label_file: Path, masks: Sequence[Path]) -> FolderMasks:
    """Read labels.yaml and look at some masks.

    Masks of nothing but 0 and 255 are those of one kind of object, as drawing programs and many
    tools write them: 0 is the first of two classes, or ``background``, and 255 the other. Elsewhere
    255 means unlabelled, which would teach the background only.

    Args:
        label_file: labels.yaml; it may be missing for masks of 0 and 255.
        masks: of all splits.

    Raises:
        DataError: labels.yaml is missing or broken, or it lists three classes and more though all
            masks hold 0 and 255 alone.
    """
    looked_at = masks[:: max(1, len(masks) // LOOKED_AT)]
    if not label_file.is_file():
        if _are_binary(looked_at):
            labels = LabelSet((BACKGROUND, OBJECT), (voc_colour(0), voc_colour(1)))
            return _binary(labels, "there is no labels.yaml to name them")
        try:
            read_label_file(label_file)
        except DataError as error:
            raise DataError(f"{error}; its masks hold {_held(looked_at)}") from error
    listed = read_label_file(label_file)
    white_is_listed = WHITE in (*listed.ids, *listed.ignored_ids)
    if not white_is_listed and _are_binary(looked_at):
        return _listed_binary(listed)
    ids = dict.fromkeys(listed.ignored_ids, UNLABELLED)
    ids |= {number: index for index, number in enumerate(listed.ids)}
    colours = dict.fromkeys(listed.ignored_colours, UNLABELLED)
    if listed.coloured:
        colours |= {colour: index for index, colour in enumerate(listed.labels.colours)}
    return FolderMasks(
        labels=listed.labels,
        decode=MaskDecoder(ids, colours, listed.path.name),
        source=listed.source,
        licence=listed.licence,
        resolution=listed.resolution,
    )


def _listed_binary(listed: LabelFile) -> FolderMasks:
    names, colours = listed.labels.names, listed.labels.colours
    if len(names) > 2:
        raise DataError(
            f"{listed.path} lists {len(names)} classes, but the masks hold 0 and 255 alone; list "
            f"two, such as {names[0]!r} with id: 0 and {names[1]!r} with id: 255, or 255 under "
            "ignore: if it means unlabelled"
        )
    if len(names) == 1:
        black = voc_colour(0) if colours[0] != voc_colour(0) else voc_colour(1)
        names, colours = (BACKGROUND, *names), (black, *colours)
    labels = LabelSet(names, colours)
    found = _binary(labels, "if 255 means unlabelled, add `ignore: [255]` to labels.yaml")
    return FolderMasks(
        found.labels,
        found.decode,
        listed.source,
        listed.licence,
        listed.resolution,
        found.notes,
    )


def _binary(labels: LabelSet, why: str) -> FolderMasks:
    # Unless the list's own colours say that the first class is the white one.
    white = 0 if labels.colours[0] == (WHITE, WHITE, WHITE) else 1
    said = f"0 is read as {labels.names[1 - white]}, 255 as {labels.names[white]}"
    return FolderMasks(
        labels=labels,
        decode=BinaryDecoder(white),
        notes=(f"masks hold 0 and 255 alone: {said} ({why})",),
    )


@dataclass(frozen=True)
class BinaryDecoder:
    """Reads masks of 0 and 255, grey or as colours.

    Attributes:
        white: the id of 255, 0 or 1; 0 has the other.
    """

    white: int = 1

    def __call__(self, sample: Sample) -> np.ndarray:
        """(H, W) uint8; DataError if the mask holds anything else."""
        grey = _grey(read_label(sample.label))
        if grey is None or ((grey != 0) & (grey != WHITE)).any():
            raise DataError(
                f"{sample.label} holds more than 0 and 255, unlike the other masks; correct it, or "
                "list what the numbers mean in labels.yaml"
            )
        return ((grey == WHITE) == (self.white == 1)).astype(np.uint8)


def _are_binary(masks: Sequence[Path]) -> bool:
    """Whether masks hold 0 and 255 alone, and some of both."""
    seen = np.zeros(256, bool)
    for path in masks:
        try:
            grey = _grey(read_label(path))
        except DataError:
            continue  # said when it is read for good
        if grey is None:
            return False
        seen |= np.bincount(grey.reshape(-1), minlength=256) > 0
        if seen[1:WHITE].any():
            return False
    return bool(seen[0] and seen[WHITE])


def _grey(pixels: np.ndarray) -> np.ndarray | None:
    """One channel of a picture without colours; None if it has some."""
    if pixels.ndim == 2:
        return pixels
    alike = (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()
    return pixels[..., 0] if alike else None


def _held(masks: Sequence[Path]) -> str:
    """What ids there are in masks, for errors."""
    found: set[int] = set()
    for path in masks:
        try:
            pixels = read_label(path, deep=True)
        except DataError:
            continue
        if pixels.ndim == 3:
            return "colours"
        found.update(np.unique(pixels).tolist())
    return f"the ids {ranges(found)}" if found else "nothing that can be read"
