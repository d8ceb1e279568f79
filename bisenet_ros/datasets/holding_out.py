"""Holds one recording out: a network is judged on a drive, room or day it has seen nothing of."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from bisenet_ros.datasets.base import LabelledSet, Sample
from bisenet_ros.datasets.grouping import group_of
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.errors import ArgumentError, DataError

DIVIDED_ANEW = ("train", "val")  # a split of another name, such as test, stays what it is


def check_hold_out(options: DatasetOptions) -> None:
    """Raise :class:`ArgumentError` for a group without a rule that says what a group is."""
    if options.hold_out and not options.group_by:
        raise ArgumentError(
            f"hold_out is {options.hold_out!r}, but nothing says what a group is; pass group_by: "
            "folder, prefix or a regular expression"
        )


def divided_by_group(
    splits: dict[str, LabelledSet], options: DatasetOptions
) -> dict[str, LabelledSet]:
    """The same images divided anew: the group ``options.hold_out`` is val, all others are train.

    Args:
        splits: the set's own train and val, or those made by ``val_share``.
        options: ``hold_out`` and ``group_by`` count.

    Returns:
        ``train`` and ``val``, the images in the order of the splits that they come from.

    Raises:
        DataError: no image is of the group, or all are, or a name has no group.
    """
    group = group_of(options.group_by)
    parts = [splits[name] for name in DIVIDED_ANEW if name in splits]
    found = Counter(group(sample.name) for part in parts for sample in part.samples)
    if options.hold_out not in found or len(found) < 2:
        named = ", ".join(f"{name!r} ({count})" for name, count in sorted(found.items()))
        raise DataError(
            f"hold_out is {options.hold_out!r}; by group_by {options.group_by!r} the set has the "
            f"groups {named}; expected one of at least two"
        )
    names = {sample.name for part in parts for sample in part.samples}
    held = {name for name in names if group(name) == options.hold_out}
    return {"train": _part(parts, "train", names - held), "val": _part(parts, "val", held)}


def _part(parts: list[LabelledSet], name: str, kept: set[str]) -> LabelledSet:
    """The images of these names from all parts, each decoded as in the part that it is from."""
    chosen = {s: part.decode for part in parts for s in part.samples if s.name in kept}

    def decode(sample: Sample) -> np.ndarray:
        return chosen[sample](sample)

    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    return replace(
        parts[0], samples=tuple(chosen), decode=decode, split=name, notes=notes, divided=True
    )
