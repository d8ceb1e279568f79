"""Some images of a set with their labels, on one sheet: to see whether they mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bisenet_ros.inference.cpu.overlay import blend
from bisenet_ros.labels import UNLABELLED, LabelSet
from bisenet_ros.recordings.codec import encode_jpeg
from bisenet_ros.report.figure import EDGE, FAINT, INK, PAPER
from bisenet_ros.report.html import css, data_uri, fill

TILE = 360  # pixels; width of each picture
OPACITY = 0.5
MARGIN, GAP, CAPTION, ROW = 28, 16, 26, 30
COLUMNS = 2  # of pairs: picture, and picture under its labels
LETTERS = 16


@dataclass(frozen=True)
class Tile:
    """One image of a set: where it is from, RGB (H, W, 3) uint8 and ids (H, W) uint8."""

    split: str
    name: str
    image: np.ndarray
    ids: np.ndarray


def spread(counts: dict[str, int], wanted: int) -> list[tuple[str, int]]:
    """(split, index) of up to ``wanted`` images, evenly over each split by its size."""
    total = sum(counts.values())
    places = [(split, index) for split, count in counts.items() for index in range(count)]
    wanted = min(wanted, total)
    return [places[(2 * k + 1) * total // (2 * wanted)] for k in range(wanted)]


def sheet(tiles: Sequence[Tile], labels: LabelSet, title: str) -> np.ndarray:
    """The sheet as a picture (H, W, 3) uint8 RGB."""
    pictures = [_pair(tile, labels) for tile in tiles]
    columns = min(COLUMNS, len(pictures))
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    heights = [max(picture.shape[0] for picture in row) for row in rows]
    width = 2 * MARGIN + columns * 2 * TILE + (columns - 1) * GAP
    legend = _legend(tiles, labels, width - 2 * MARGIN)
    top = MARGIN + ROW
    total = top + sum(heights) + len(rows) * (CAPTION + GAP) + len(legend) * ROW + MARGIN
    paper = Image.new("RGB", (width, total), PAPER)
    draw = ImageDraw.Draw(paper)
    draw.text((MARGIN, MARGIN), title, INK, _font(20), anchor="lt")
    for row, height in enumerate(heights):
        for column, picture in enumerate(rows[row]):
            left = MARGIN + column * (2 * TILE + GAP)
            tile = tiles[row * columns + column]
            caption = _cut(f"{tile.split} · {tile.name}", 2 * TILE)
            draw.text((left, top + CAPTION - 8), caption, FAINT, _font(LETTERS), anchor="ls")
            paper.paste(Image.fromarray(picture), (left, top + CAPTION))
            right, bottom = left + picture.shape[1], top + CAPTION + picture.shape[0]
            draw.rectangle((left - 1, top + CAPTION - 1, right, bottom), outline=EDGE)
        top += height + CAPTION + GAP
    for entries in legend:
        for x, name, colour in entries:
            box = (MARGIN + x, top + 6, MARGIN + x + 18, top + 24)
            draw.rounded_rectangle(box, 4, fill=colour, outline=EDGE)
            place = (MARGIN + x + 26, top + 15)
            draw.text(place, name, INK, _font(LETTERS), anchor="lm")
        top += ROW
    return np.asarray(paper)


def page(tiles: Sequence[Tile], labels: LabelSet, title: str, survey: dict[str, Any]) -> str:
    """The sheet as an HTML page, with the table of classes and the problems."""
    colours = [css(colour) for colour in labels.colours]
    return fill(
        "contact_sheet.html.j2",
        title=title,
        survey=survey,
        tiles=[
            (f"{t.split} · {t.name}", data_uri("image/jpeg", encode_jpeg(_pair(t, labels), 88)))
            for t in tiles
        ],
        classes=list(zip(survey["classes"], colours, strict=True)),
        facts=[("Set", _facts(survey))],
        credit="",
    )


def _facts(survey: dict[str, Any]) -> list[tuple[str, str]]:
    sizes = [f"{s['width']} × {s['height']} ({s['images']})" for s in survey["sizes"]]
    return [
        ("format", survey["format"]),
        ("images", ", ".join(f"{name} {count}" for name, count in survey["splits"].items())),
        ("sizes", ", ".join(sizes[:6]) or "not read"),
    ]


def _pair(tile: Tile, labels: LabelSet) -> np.ndarray:
    """The picture, and the same under the colours of its labels, side by side."""
    height = max(1, round(TILE * tile.image.shape[0] / tile.image.shape[1]))
    way = cv2.INTER_AREA if tile.image.shape[1] >= TILE else cv2.INTER_NEAREST
    image = cv2.resize(tile.image, (TILE, height), interpolation=way)
    ids = cv2.resize(tile.ids, (TILE, height), interpolation=cv2.INTER_NEAREST)
    covered = blend(image, ids, labels.palette(), OPACITY)
    return np.hstack([image, covered])


def _legend(
    tiles: Sequence[Tile], labels: LabelSet, width: int
) -> list[list[tuple[int, str, tuple[int, int, int]]]]:
    """Rows of (x, name, colour) of the classes that are to be seen."""
    seen = {int(id) for tile in tiles for id in np.unique(tile.ids)}
    entries = [
        (name, colour)
        for index, (name, colour) in enumerate(zip(labels.names, labels.colours, strict=True))
        if index in seen
    ]
    if UNLABELLED in seen:
        entries.append(("unlabelled: the picture alone", PAPER))
    rows: list[list[tuple[int, str, tuple[int, int, int]]]] = [[]]
    x = 0
    for name, colour in entries:
        shown = _cut(name, 240)
        needed = 26 + round(_font(LETTERS).getlength(shown)) + 20
        if rows[-1] and x + needed > width:
            rows.append([])
            x = 0
        rows[-1].append((x, shown, colour))
        x += needed
    return rows


def _cut(text: str, width: int) -> str:
    """The end of a text, as much as fits; names of files differ there."""
    font = _font(LETTERS)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"…{text}") > width:
        text = text[1:]
    return f"…{text}"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
