"""One frame as a figure: camera, truth, prediction and overlay with a legend."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bisenet_ros.labels import UNLABELLED, LabelSet

PANEL = 720  # pixels; width of each of the four pictures
MARGIN, GAP, TITLE = 36, 20, 44
LEGEND_ROW, SWATCH, LETTERS, BETWEEN = 38, 20, 20, 22
PAPER, INK, FAINT, EDGE = (255, 255, 255), (24, 27, 32), (104, 112, 122), (214, 218, 224)


@dataclass(frozen=True)
class View:
    """One frame, all uint8 and of the same size: camera and overlay RGB, truth and mask ids."""

    image: np.ndarray
    truth: np.ndarray
    mask: np.ndarray
    overlay: np.ndarray


def colours(ids: np.ndarray, labels: LabelSet) -> np.ndarray:
    """(H, W) uint8 ids as (H, W, 3) uint8 RGB in the classes' colours."""
    return labels.palette()[ids]


def grid(view: View, labels: LabelSet, caption: str) -> np.ndarray:
    """The four pictures, two by two, titled, above the legend and a caption: (H, W, 3) RGB."""
    height = round(PANEL * view.image.shape[0] / view.image.shape[1])
    panels = [
        ("Camera", _smooth(view.image, height)),
        ("Truth", _crisp(colours(view.truth, labels), height)),
        ("Prediction", _crisp(colours(view.mask, labels), height)),
        ("Overlay", _smooth(view.overlay, height)),
    ]
    width = 2 * MARGIN + 2 * PANEL + GAP
    entries = _legend(view, labels)
    rows = _rows(entries, width - 2 * MARGIN)
    legend_top = MARGIN + 2 * (TITLE + height) + GAP + GAP
    total = legend_top + len(rows) * LEGEND_ROW + TITLE + MARGIN
    paper = Image.new("RGB", (width, total), PAPER)
    draw = ImageDraw.Draw(paper)
    for index, (title, panel) in enumerate(panels):
        left = MARGIN + (index % 2) * (PANEL + GAP)
        top = MARGIN + (index // 2) * (TITLE + height + GAP)
        draw.text((left, top + TITLE - 14), title, INK, _font(26), anchor="ls")
        paper.paste(Image.fromarray(panel), (left, top + TITLE))
        draw.rectangle(
            (left - 1, top + TITLE - 1, left + PANEL, top + TITLE + height), outline=EDGE
        )
    _draw_legend(draw, rows, legend_top)
    draw.text((MARGIN, total - MARGIN), caption, FAINT, _font(20), anchor="ls")
    return np.asarray(paper)


Entry = tuple[str, tuple[int, int, int]]


def _legend(view: View, labels: LabelSet) -> list[Entry]:
    entries = list(zip(labels.names, labels.colours, strict=True))
    if (view.truth == UNLABELLED).any() or (view.mask == UNLABELLED).any():
        entries.append(("unlabelled", (0, 0, 0)))
    return entries


def _rows(entries: list[Entry], width: int) -> list[list[tuple[int, Entry]]]:
    """The entries with their x offsets, broken into rows of at most ``width`` pixels."""
    rows: list[list[tuple[int, Entry]]] = [[]]
    x = 0
    for entry in entries:
        needed = SWATCH + 8 + round(_font(LETTERS).getlength(entry[0]))
        if rows[-1] and x + needed > width:
            rows.append([])
            x = 0
        rows[-1].append((x, entry))
        x += needed + BETWEEN
    return rows


def _draw_legend(draw: ImageDraw.ImageDraw, rows: list[list[tuple[int, Entry]]], top: int) -> None:
    for number, row in enumerate(rows):
        middle = top + number * LEGEND_ROW + LEGEND_ROW // 2
        for x, (name, colour) in row:
            left = MARGIN + x
            box = (left, middle - SWATCH // 2, left + SWATCH, middle + SWATCH // 2)
            draw.rounded_rectangle(box, 5, fill=colour)
            draw.text((left + SWATCH + 8, middle), name, INK, _font(LETTERS), anchor="lm")


def _smooth(rgb: np.ndarray, height: int) -> np.ndarray:
    shrinks = rgb.shape[1] >= PANEL
    way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(rgb, (PANEL, height), interpolation=way)


def _crisp(rgb: np.ndarray, height: int) -> np.ndarray:
    """Resize flat colours: repeat whole pixels first, so that only edges are blended."""
    times = -(-2 * PANEL // rgb.shape[1])
    large = rgb.repeat(times, 0).repeat(times, 1)
    return cv2.resize(large, (PANEL, height), interpolation=cv2.INTER_AREA)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
