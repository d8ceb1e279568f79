"""Holds one recording out: a network is judged on a drive, room or day it has seen nothing of."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from bisenet_ros.datasets.base import LabelledSet, Sample
from bisenet_ros.datasets.grouping import group_of
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.errors import ArgumentError, DataError

RESPLIT = ("train", "val")  # a split of another name, such as test, stays what it is


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
    """The same images split by group: ``options.hold_out`` is val, the others are train.

    Args:
        splits: the set's own train and val, or those made by ``val_share``.
        options: ``hold_out`` and ``group_by`` count.

    Returns:
        ``train`` and ``val``, the images in the order of the splits that they come from.

    Raises:
        DataError: no image is of the group, or all are, or a name has no group.
    """
    group = group_of(options.group_by)
    parts = [splits[name] for name in RESPLIT if name in splits]
    groups = {sample: group(sample.name) for part in parts for sample in part.samples}
    found = Counter(groups.values())
    if options.hold_out not in found or len(found) < 2:
        named = ", ".join(f"{name!r} ({count})" for name, count in sorted(found.items()))
        raise DataError(
            f"hold_out is {options.hold_out!r}; by group_by {options.group_by!r} the set has the "
            f"groups {named}; expected one of at least two"
        )
    decoders = {sample: part.decode for part in parts for sample in part.samples}

    def decode(sample: Sample) -> np.ndarray:
        return decoders[sample](sample)

    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    whole = replace(parts[0], decode=decode, notes=notes, divided=True)
    held = tuple(sample for sample in groups if groups[sample] == options.hold_out)
    others = tuple(sample for sample in groups if groups[sample] != options.hold_out)
    return {
        "train": replace(whole, samples=others, split="train"),
        "val": replace(whole, samples=held, split="val"),
    }
