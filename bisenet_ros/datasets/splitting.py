"""Divides a set that comes in one piece into train and val."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bisenet_ros.datasets.grouping import group_of
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.errors import ArgumentError, DataError

BY_SHARE = ("train", "val")  # the splits that are made


def check_options(options: DatasetOptions) -> None:
    """Raise :class:`ArgumentError` if they could not divide any set."""
    if not 0 < options.val_share < 1:
        raise ArgumentError(
            f"val_share is {options.val_share}; expected a fraction between 0 and 1"
        )
    group_of(options.group_by)


def held_out(names: Sequence[str], options: DatasetOptions) -> set[str]:
    """The names of the images that are ``val``: whole groups, nearest to the share asked for.

    Groups are chosen by a hash of seed and group, on every machine alike. A hash rather than a
    shuffle, so that adding images later moves hardly any others between the splits.

    Args:
        names: of all images.
        options: ``val_share``, ``seed`` and ``group_by`` count.

    Returns:
        At least one group's names, and not all.

    Raises:
        ArgumentError: ``val_share`` is not between 0 and 1, or ``group_by`` cannot be read.
        DataError: there are fewer than two images or groups, or a name has no group.
    """
    check_options(options)
    if len(names) < 2:
        raise DataError(f"the set has {len(names)} image; expected at least 2 to split it")
    group = group_of(options.group_by)
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(group(name), []).append(name)
    if len(groups) < 2:
        raise DataError(
            f"all {len(names)} images are of the group {next(iter(groups))!r} by "
            f"group_by {options.group_by!r}; expected at least 2 groups to split between"
        )
    return _chosen(groups, options.val_share * len(names), options.seed)


def _chosen(groups: dict[str, list[str]], target: float, seed: int) -> set[str]:
    """Groups in the order of their hashes, as long as they bring the count nearer to the target."""

    def key(group: str) -> bytes:
        return hashlib.sha256(f"{seed} {group}".encode()).digest()

    held: set[str] = set()
    taken = 0
    for group in sorted(groups, key=key):
        after = len(held) + len(groups[group])
        nearer = abs(after - target) < abs(len(held) - target)
        if (nearer or not held) and taken < len(groups) - 1:
            held.update(groups[group])
            taken += 1
    return held
