"""Looks through a whole set and lists what is in it and what is wrong, instead of stopping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from bisenet_ros.datasets.base import LabelledSet
from bisenet_ros.datasets.files import in_order
from bisenet_ros.datasets.near_duplicates import Fingerprint, fingerprint, shared_between
from bisenet_ros.datasets.pictures import check_whole, image_size, read_rgb
from bisenet_ros.datasets.recognition import Recognised
from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED, LabelSet

MOST_PAIRS = 100  # of images in two splits; more are counted
EXAMPLES = 3


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a set.

    Attributes:
        kind: ``broken``, ``leak``, ``absent``, ``unlabelled``.
        text: one line that names the files and says what to do.
        fatal: whether training would stop at it.
    """

    kind: str
    text: str
    fatal: bool


@dataclass
class Survey:
    """What a set holds.

    Attributes:
        found: its format.
        labels: its classes.
        splits: how many images each split has.
        counts: (n,) int64 pixels of each class, over all splits.
        images: (n,) int64 images with a pixel of each class.
        unlabelled: pixels without a class.
        sizes: how many images have each (height, width).
        notes: what had to be assumed.
        problems: what is wrong.
    """

    found: Recognised
    labels: LabelSet
    splits: dict[str, int]
    counts: np.ndarray
    images: np.ndarray
    unlabelled: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    notes: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)

    @property
    def shares(self) -> np.ndarray:
        """(n,) float64: each class's share of the labelled pixels; zeros if there are none."""
        return self.counts / max(1, int(self.counts.sum()))

    @property
    def fatal(self) -> list[Problem]:
        """The problems that training would stop at."""
        return [problem for problem in self.problems if problem.fatal]

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        classes = [
            {
                "id": index,
                "name": name,
                "color": list(self.labels.colours[index]),
                "share": float(self.shares[index]),
                "pixels": int(self.counts[index]),
                "images": int(self.images[index]),
            }
            for index, name in enumerate(self.labels.names)
        ]
        total = int(self.counts.sum()) + self.unlabelled
        return {
            "format": self.found.format,
            "why": self.found.why,
            "splits": self.splits,
            "classes": classes,
            "unlabelled_share": self.unlabelled / max(1, total),
            "sizes": [
                {"height": height, "width": width, "images": count}
                for (height, width), count in self.sizes.most_common()
            ],
            "notes": list(self.notes),
            "problems": [vars(problem) for problem in self.problems],
        }


@dataclass(frozen=True)
class _Looked:
    """What one image gave: pixels of each id (256,), its size and looks, or what is wrong."""

    pixels: np.ndarray | None = None
    size: tuple[int, int] | None = None
    looks: Fingerprint | None = None
    wrong: str = ""


def outline(found: Recognised, splits: Mapping[str, LabelledSet]) -> Survey:
    """What can be said without reading a picture: format, splits, classes, notes."""
    labels = next(iter(splits.values())).labels
    notes = dict.fromkeys(note for labelled in splits.values() for note in labelled.notes)
    survey = Survey(
        found=found,
        labels=labels,
        splits={name: len(labelled) for name, labelled in splits.items()},
        counts=np.zeros(len(labels), np.int64),
        images=np.zeros(len(labels), np.int64),
        notes=tuple(notes),
    )
    for name, labelled in splits.items():
        if labelled.labels.names != labels.names:
            survey.problems.append(
                Problem("broken", f"{name} has other classes than {next(iter(splits))}", True)
            )
    return survey


def look_through(
    found: Recognised,
    splits: Mapping[str, LabelledSet],
    images: bool,
    on_progress: Callable[[int], None] | None = None,
) -> Survey:
    """Read every label, and with ``images`` every picture, too.

    Args:
        found: the format.
        splits: all splits of the set.
        images: decode pictures: those that are cut off are found, and those in two splits.
        on_progress: called with the number of images done, after each.
    """
    survey = outline(found, splits)
    n = len(survey.labels)
    looks: dict[str, dict[int, Fingerprint]] = {}
    empty: list[str] = []
    done = 0
    for name, labelled in splits.items():
        looks[name] = {}
        look = partial(_look, labelled, images=images)
        for index, one in enumerate(in_order(look, len(labelled))):
            done += 1
            if one.wrong or one.pixels is None or one.size is None:
                survey.problems.append(Problem("broken", one.wrong, True))
            else:
                survey.counts += one.pixels[:n]
                survey.images += one.pixels[:n] > 0
                survey.unlabelled += int(one.pixels[UNLABELLED])
                survey.sizes[one.size] += 1
                if not one.pixels[:n].any():
                    empty.append(str(labelled.samples[index].label))
            if one.looks is not None:
                looks[name][index] = one.looks
            if on_progress is not None:
                on_progress(done)
    survey.problems += _empty(empty) + _absent(survey) + _leaks(splits, looks)
    return survey


def _look(labelled: LabelledSet, index: int, images: bool) -> _Looked:
    sample = labelled.samples[index]
    looks = None
    try:
        if images:
            check_whole(sample.image)
            image = read_rgb(sample.image)
            looks = fingerprint(image)
            size = image.shape[:2]
            ids = labelled.decode(sample)
        else:
            ids = labelled.decode(sample)
            size = image_size(sample.image)
            if size != ids.shape:  # perhaps turned by its camera's tag
                size = read_rgb(sample.image).shape[:2]
        ids = labelled.fitted(sample, ids, size)
    except DataError as error:
        return _Looked(looks=looks, wrong=str(error))
    pixels = np.bincount(ids.reshape(-1), minlength=256)
    return _Looked(pixels, (size[0], size[1]), looks)


def _empty(labels: list[str]) -> list[Problem]:
    if not labels:
        return []
    shown = ", ".join(labels[:EXAMPLES]) + (", …" if len(labels) > EXAMPLES else "")
    return [
        Problem(
            "unlabelled",
            f"{len(labels)} images have no labelled pixel ({shown}); label them, or take them out",
            False,
        )
    ]


def _absent(survey: Survey) -> list[Problem]:
    names = [n for n, count in zip(survey.labels.names, survey.counts, strict=True) if not count]
    if not names or survey.fatal:
        return []  # with labels missing, nothing can be said of what does not occur
    return [
        Problem(
            "absent",
            f"no pixel has the class {name!r}, so it cannot be learnt or scored; label some, or "
            "take the class out",
            False,
        )
        for name in names
    ]


def _leaks(
    splits: Mapping[str, LabelledSet], looks: Mapping[str, Mapping[int, Fingerprint]]
) -> list[Problem]:
    problems: list[Problem] = []
    more = 0
    for first, one, second, other in shared_between(looks):
        if len(problems) == MOST_PAIRS:
            more += 1
            continue
        images = splits[first].samples[one].image, splits[second].samples[other].image
        problems.append(
            Problem(
                "leak",
                f"{images[0]} of {first} and {images[1]} of {second} look the same, which flatters "
                "scores; keep both in one split",
                False,
            )
        )
    if more:
        problems.append(Problem("leak", f"{more} more pairs of images look the same", False))
    return problems
