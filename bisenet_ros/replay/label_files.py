"""How the labels of a recording are written, told by a file and the model's classes."""

from __future__ import annotations

from pathlib import Path

from bisenet_ros.datasets.label_file import LabelFile, read_label_file
from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED, LabelSet
from bisenet_ros.recordings.label_decoding import Colour, LabelCoding


def label_coding(labels: LabelSet, path: Path | None = None) -> tuple[LabelCoding, list[str]]:
    """What ids and colours of labels mean to a model.

    Args:
        labels: of the model.
        path: a YAML file of ``classes: [{name, color, id}, …]`` with ``ignore: […]``, as in
            config/labels/, or a text file of lines ``R G B name``; None where ids are the model's.
            Classes are matched by name, upper and lower case being the same.

    Returns:
        The coding, and warnings: classes of the file that the model does not have are unlabelled.

    Raises:
        DataError: the file cannot be read, or none of its classes is the model's.
    """
    if path is None:
        return LabelCoding(len(labels)), []
    ids: dict[int, int] = {}
    ignored: tuple[Colour, ...] = ()
    if path.suffix == ".txt":
        names, colours = _read_text(path)
    else:
        found: LabelFile = read_label_file(path)
        names, colours = found.labels.names, found.labels.colours
        ignored = found.ignored_colours
        ids = dict.fromkeys(found.ignored_ids, UNLABELLED)
    known = {name.lower(): index for index, name in enumerate(labels.names)}
    classes = [known.get(name.lower(), UNLABELLED) for name in names]
    foreign = [n for n, c in zip(names, classes, strict=True) if c == UNLABELLED]
    if len(foreign) == len(names):
        raise DataError(
            f"none of the classes of {path} ({', '.join(names[:5])}, …) is one of the model's "
            f"({', '.join(labels.names[:5])}, …); expected the same names"
        )
    if path.suffix != ".txt":
        ids |= dict(zip(found.ids, classes, strict=True))
    warnings = []
    if foreign:
        warnings.append(
            f"classes of {path.name} that the model does not have are unlabelled: "
            f"{', '.join(foreign)}"
        )
    table = dict.fromkeys(ignored, UNLABELLED) | dict(zip(colours, classes, strict=True))
    return LabelCoding(len(labels), ids, table, path.name), warnings


def _read_text(path: Path) -> tuple[tuple[str, ...], tuple[Colour, ...]]:
    """Names and colours of lines ``R G B name``, as CamVid's label_colors.txt has them."""
    names, colours = [], []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of colours: {error}") from error
    for number, line in enumerate(lines, 1):
        parts = line.split(maxsplit=3)
        if not parts or line.startswith("#"):
            continue
        values = [int(part) for part in parts[:3] if part.isdecimal() and int(part) < 256]
        if len(parts) < 4 or len(values) < 3:
            raise DataError(
                f"line {number} of {path} is {line[:40]!r}; expected R G B name, such as "
                "128 64 128 road"
            )
        colours.append((values[0], values[1], values[2]))
        names.append(parts[3].strip())
    if not names:
        raise DataError(f"{path} lists no colours; expected lines R G B name")
    return tuple(names), tuple(colours)
