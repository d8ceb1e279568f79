"""Common parts of the reports: figures and images to HTML."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.codec import encode_jpeg, encode_png
from bisenet_ros.report.figure import View, colours
from bisenet_ros.report.formatting import number, percent

TEMPLATES = Path(__file__).parent / "templates"
PICTURE_QUALITY = 85
LARGEST_TABLE = 40  # classes; larger confusion matrices are drawn as an image
HIT, MISS = (59, 130, 246), (239, 68, 68)  # visible on white and on black
CELL = 4  # pixels of the picture for one entry of the matrix


def fill(template: str, **values: Any) -> str:
    """A page from one of the templates; ``values`` are escaped unless they are Markup."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, number=number)
    made = time.strftime("%Y-%m-%d %H:%M %Z")
    return environment.get_template(template).render(made=made, **values)


def css(colour: tuple[int, int, int]) -> str:
    """A colour for a stylesheet."""
    return "rgb({}, {}, {})".format(*colour)


def data_uri(kind: str, content: bytes) -> str:
    """``content`` as a data URL."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def pictures(view: View, labels: LabelSet) -> list[tuple[str, str]]:
    """The four pictures of a frame as (title, URL)."""

    def photo(rgb: np.ndarray) -> str:
        return data_uri("image/jpeg", encode_jpeg(rgb, PICTURE_QUALITY))

    def flat(ids: np.ndarray) -> str:
        return data_uri("image/png", encode_png(colours(ids, labels)))

    return [
        ("Camera", photo(view.image)),
        ("Truth", flat(view.truth)),
        ("Prediction", flat(view.mask)),
        ("Overlay", photo(view.overlay)),
    ]


def legend(labels: LabelSet) -> list[tuple[str, str]]:
    """(name, colour) of each class."""
    return [(name, css(c)) for name, c in zip(labels.names, labels.colours, strict=True)]


def class_rows(metrics: dict[str, Any], labels: LabelSet) -> list[dict[str, Any]]:
    """The table of classes, best IoU first, those that do not occur last."""
    by_name = dict(legend(labels))
    rows = [
        {"name": name, "colour": by_name[name], **figures}
        for name, figures in metrics["per_class"].items()
    ]
    return sorted(rows, key=lambda row: -1.0 if row["iou"] is None else row["iou"], reverse=True)


def shares(confusion: list[list[int]]) -> np.ndarray:
    """The confusion matrix (n, n + 1) as shares of each true class; zeros if it has no pixels.

    The last column, unlabelled predictions, is dropped if it is empty.
    """
    counts = np.array(confusion, np.float64)
    if not counts[:, -1].any():
        counts = counts[:, :-1]
    return counts / np.maximum(1, counts.sum(1, keepdims=True))


def heat_rows(confusion: list[list[int]], labels: LabelSet) -> dict[str, Any]:
    """The confusion matrix as a table of shares; None for the row of a class without pixels."""
    table = shares(confusion)
    rows = [
        (name, [float(v) for v in row]) if row.any() else (name, None)
        for name, row in zip(labels.names, table, strict=True)
    ]
    return {"columns": [*labels.names, "none"][: table.shape[1]], "rows": rows}


def heat_picture(confusion: list[list[int]]) -> str | None:
    """The confusion matrix as a URL of a picture, where a table would be too large; else None."""
    if len(confusion) <= LARGEST_TABLE:
        return None
    table = shares(confusion)
    # Transparent where it is zero, so that the page's own paper shows; square roots, since most
    # confusions are a few per cent and should be seen.
    picture = np.empty((*table.shape, 4), np.uint8)
    picture[..., :3] = MISS
    diagonal = np.arange(len(table))
    picture[diagonal, diagonal, :3] = HIT
    picture[..., 3] = np.rint(255 * np.sqrt(table))
    return data_uri("image/png", encode_png(picture.repeat(CELL, 0).repeat(CELL, 1)))
