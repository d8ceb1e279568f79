"""Converts labelled sets from one format to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from bisenet_ros.datasets.annotated import split_name
from bisenet_ros.datasets.base import LabelledSet
from bisenet_ros.datasets.export.base import Exporter
from bisenet_ros.datasets.export.coco import CocoExporter
from bisenet_ros.datasets.export.cvat import CvatExporter
from bisenet_ros.datasets.export.folder import FolderExporter
from bisenet_ros.datasets.export.labelme import LabelmeExporter
from bisenet_ros.datasets.export.voc import VocExporter
from bisenet_ros.datasets.files import in_order
from bisenet_ros.datasets.names import fold
from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.system.atomic_files import staged

EXPORTERS: dict[str, type[Exporter]] = {
    "folder": FolderExporter,
    "cvat": CvatExporter,
    "voc": VocExporter,
    "coco": CocoExporter,
    "labelme": LabelmeExporter,
}


def export(
    splits: Mapping[str, LabelledSet],
    to: str,
    out: Path,
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Write every split of a set in another format; images are copied as they are.

    Reading the result gives the same ids, byte for byte, and the same names of classes. Colours
    are kept but where the format needs one for itself, such as CVAT's black for ``background``.

    Args:
        splits: the set, with the same classes in each.
        to: a key of ``EXPORTERS``.
        out: a folder that is missing or empty. After an error it is as it was.
        on_progress: called with the number of images written, after each.

    Returns:
        How many images were written.

    Raises:
        ArgumentError: there is no such format, or ``out`` holds files or cannot be written.
        DataError: an image or label is broken, or the format cannot hold a class's name.
    """
    if to not in EXPORTERS:
        raise ArgumentError(f"--to is {to!r}; expected one of {', '.join(EXPORTERS)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArgumentError(f"{out} holds files; name a folder that is missing or empty")
    labels = next(iter(splits.values())).labels
    if any(labelled.labels.names != labels.names for labelled in splits.values()):
        raise DataError("the splits have different classes; convert them one by one")
    done = 0
    with staged(out, "the folder to write") as scratch:
        exporter = EXPORTERS[to](scratch / "results", labels)
        names = _names(splits)
        for split, labelled in splits.items():
            pairs = in_order(labelled.read, len(labelled))
            for sample, name, (_, ids) in zip(labelled.samples, names[split], pairs, strict=True):
                exporter.add(split, name, sample.image, ids)
                done += 1
                if on_progress is not None:
                    on_progress(done)
        exporter.finish()
    return done


def _names(splits: Mapping[str, LabelledSet]) -> dict[str, list[str]]:
    """A name for each image: the sample's without its split's folder, unless two are alike then."""
    names = {
        split: [_without_split(sample.name, split) for sample in labelled.samples]
        for split, labelled in splits.items()
    }
    counts = Counter(fold(name) for part in names.values() for name in part)
    return {
        split: [f"{split}/{name}" if counts[fold(name)] > 1 else name for name in part]
        for split, part in names.items()
    }


def _without_split(name: str, split: str) -> str:
    first, slash, rest = name.partition("/")
    return rest if slash and split_name(first) == split else name
