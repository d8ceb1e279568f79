"""Groups of images that belong together, and groups of classes that count as one."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from bisenet_ros.datasets.base import LabelledSet, Sample
from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.label_map import LabelMap
from bisenet_ros.labels import UNLABELLED, LabelSet

FOLDER, PREFIX = "folder", "prefix"
# "0001TP_006690" and "drive-2.frame0042" without the number of the frame.
_FRAME_NUMBER = re.compile(r"[\W_]*\d+$")


def group_of(group_by: str) -> Callable[[str], str]:
    """A function from an image's name to its group.

    Args:
        group_by: ``folder``: the folder it lies in; ``prefix``: its name without the digits at the
            end and what separates them from the rest, the usual form of a recording's frames; else
            a regular expression that is searched for in the name: its first group if it has one,
            or all that it matches. Empty: the name itself.

    Raises:
        ArgumentError: it is not a regular expression. The function itself raises DataError for a
            name in which the expression is not found.
    """
    if not group_by:
        return lambda name: name
    if group_by == FOLDER:
        return posixpath.dirname
    if group_by == PREFIX:
        return lambda name: _FRAME_NUMBER.sub("", name)
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise ArgumentError(
            f"group_by is {group_by!r}; expected {FOLDER}, {PREFIX} or a regular expression "
            f"({error})"
        ) from error

    def searched(name: str) -> str:
        found = pattern.search(name)
        if found is None:
            raise DataError(
                f"group_by {group_by!r} is not found in the image name {name!r}; expected an "
                "expression that every name has"
            )
        return str(found.group(1) if pattern.groups else found.group())

    return searched


def with_classes(labelled: LabelledSet, classes: str) -> LabelledSet:
    """The set with its classes chosen or grouped.

    Args:
        labelled: any set.
        classes: see ``LabelMap.parse``.

    Raises:
        DataError: the file cannot be read, or names classes that the set does not have.
    """
    return _grouped(labelled, LabelMap.parse(classes, labelled.labels))


def _grouped(labelled: LabelledSet, grouping: LabelMap) -> LabelledSet:
    table = grouping.table()
    table[UNLABELLED] = UNLABELLED  # what nobody labelled is not to be learnt as the rest

    def decode(sample: Sample) -> np.ndarray:
        return cv2.LUT(labelled.decode(sample), table)

    return replace(
        labelled,
        labels=grouping.labels,
        decode=decode,
        source=f"{labelled.source}, grouped into {len(grouping.labels)}",
        groups=grouping.sources(labelled.labels),
    )


def as_trained(
    labelled: LabelledSet, labels: LabelSet, groups: Mapping[str, Sequence[str]]
) -> LabelledSet:
    """The set with the groups of classes that a network was trained with.

    Args:
        labelled: the set as it is on disk.
        labels: the network's classes.
        groups: of its model card: for each of these classes, the names of a set's classes.

    Raises:
        DataError: the set lacks a class of the groups.
    """
    known = set(labelled.labels.names)
    missing = sorted({name for names in groups.values() for name in names} - known)
    if missing:
        raise DataError(
            f"the network was trained on groups of classes, of which {', '.join(missing)} are not "
            f"in the data set; it has {', '.join(labelled.labels.names)}; group them with --classes"
        )
    number = {name: labels.names.index(group) for group in groups for name in groups[group]}
    ids = tuple(number.get(name, UNLABELLED) for name in labelled.labels.names)
    return _grouped(labelled, LabelMap(labels, ids))
