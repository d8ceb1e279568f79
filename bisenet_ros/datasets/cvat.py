"""CVAT's "Segmentation mask 1.1".

A zip with labelmap.txt, ImageSets/Segmentation/, SegmentationClass/ and SegmentationObject/, and
with JPEGImages/ if images were exported, too (docs.cvat.ai, "Segmentation Mask"). Datumaro writes
and reads labelmap.txt (``plugins/data_formats/voc/format.py``): ``name:r,g,b:parts:actions`` a
line, in the order of the names' letters, with a label of the colour 0,0,0, which CVAT adds as
``background`` if the task has none: pixels that nobody drew over. Masks are PNGs in these colours,
or of one channel that counts the lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bisenet_ros.datasets.annotated import AnnotatedSet
from bisenet_ros.datasets.class_list import BACKGROUND_NAMES, class_list, voc_colour
from bisenet_ros.datasets.decoding import Colour
from bisenet_ros.datasets.mask_decoder import MaskDecoder
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.segmentation_class import mask_folder, samples_by_split
from bisenet_ros.datasets.tree import Tree
from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED

LABEL_MAP = "labelmap.txt"
# A comment to CVAT, and how our own export says that nothing was left to a class "background".
REST_IS_UNLABELLED = "# background: unlabelled"


@dataclass(frozen=True)
class LabelMap:
    """What labelmap.txt lists.

    Attributes:
        colours: of each name, in the file's order.
        rest_is_unlabelled: whether ``background`` means no class.
    """

    colours: dict[str, Colour]
    rest_is_unlabelled: bool


def recognise_cvat(tree: Tree) -> str | None:
    """Why this is one, or None."""
    folder = mask_folder(tree)
    if folder is None or tree.names.find(LABEL_MAP) is None:
        return None
    return f"it has {LABEL_MAP} and {folder}/"


def index_cvat(tree: Tree, options: DatasetOptions) -> AnnotatedSet:
    """Read labelmap.txt and the lists; DataError names what is missing or contradicts itself."""
    listed = read_label_map(tree)
    path = tree.path(LABEL_MAP)
    names = list(listed.colours)
    backgrounds = [name for name in names if name.casefold() in BACKGROUND_NAMES]
    dropped = backgrounds if listed.rest_is_unlabelled else []
    kept = [name for name in names if name not in dropped]
    classes = class_list(kept, listed.colours, path, drawn=False)
    ids = {**classes.ids, **dict.fromkeys(dropped, UNLABELLED)}
    return AnnotatedSet(
        format="CVAT segmentation masks",
        labels=classes.labels,
        splits=samples_by_split(tree, options),
        decode=MaskDecoder(
            ids={line: ids[name] for line, name in enumerate(names)},
            colours={colour: ids[name] for name, colour in listed.colours.items()},
            listed=LABEL_MAP,
        ),
    )


def read_label_map(tree: Tree) -> LabelMap:
    """Read labelmap.txt.

    Raises:
        DataError: it is missing, a line is not of its form, or two labels share a name or colour.
    """
    found = tree.names.find(LABEL_MAP)
    path = tree.path(found or LABEL_MAP)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from error
    colours: dict[str, Colour] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        # From the right, since a name may hold a colon.
        matched = re.fullmatch(r"\s*(.+?)\s*:([\d, ]*):([^:]*):([^:]*)", line)
        if matched is None:
            raise DataError(
                f"{path} line {number} is {line.strip()!r}; expected name:red,green,blue:: with "
                "each colour 0–255"
            )
        name, written = matched[1], matched[2]
        if name in colours:
            raise DataError(f"{path} lists {name!r} twice; give each label its own name")
        colour = _colour(written) if written.strip() else voc_colour(len(colours))
        if colour is None:
            raise DataError(f"{path} line {number} has the colour {written!r}; expected r,g,b")
        for other, taken in colours.items():
            if taken == colour:
                raise DataError(
                    f"{path} gives {other!r} and {name!r} the same colour {written}, so their "
                    "masks cannot be told apart; change one in CVAT and export again"
                )
        colours[name] = colour
    return LabelMap(colours, any(line.strip() == REST_IS_UNLABELLED for line in lines))


def _colour(written: str) -> Colour | None:
    parts = [part.strip() for part in written.split(",")]
    if len(parts) != 3 or not all(part.isdecimal() and int(part) <= 255 for part in parts):
        return None
    red, green, blue = map(int, parts)
    return red, green, blue
