"""Contact sheets: what is where on them."""

from __future__ import annotations

import numpy as np
import pytest
from html_page import Page

from bisenet_ros.labels import LabelSet
from bisenet_ros.report.contact_sheet import (
    CAPTION,
    GAP,
    MARGIN,
    ROW,
    TILE,
    Tile,
    page,
    sheet,
    spread,
)

LABELS = LabelSet(("road", "a name, quite <long>"), ((250, 0, 0), (0, 0, 250)))


def tiles(count: int = 3, height: int = 60, width: int = 90) -> list[Tile]:
    grey = np.full((height, width, 3), 100, np.uint8)
    ids = np.zeros((height, width), np.uint8)
    ids[:, width // 2 :] = 1
    ids[: height // 2] = 255
    return [Tile("train", f"deep/{'x' * 200}{index}", grey, ids) for index in range(count)]


def test_images_are_spread_over_all_splits():
    counts = {"train": 80, "val": 20}
    found = spread(counts, 10)
    assert len(set(found)) == 10 and sum(split == "val" for split, _ in found) == 2
    assert all(index < counts[split] for split, index in found)
    assert spread({"a": 2, "b": 1}, 50) == [("a", 0), ("a", 1), ("b", 0)]
    assert spread({"a": 7}, 1) == [("a", 3)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_pictures_beside_the_same_under_their_labels(count: int):
    found = sheet(tiles(count), LABELS, "a set")
    assert found.dtype == np.uint8 and found.shape[2] == 3
    top = MARGIN + ROW + CAPTION
    assert found[top + 200, MARGIN + 5].tolist() == [100, 100, 100]
    assert found[top + 200, MARGIN + TILE + 5].tolist() == [175, 50, 50]
    assert found[top + 200, MARGIN + 2 * TILE - 5].tolist() == [50, 50, 175]
    assert found[top + 20, MARGIN + TILE + 5].tolist() == [100, 100, 100]  # unlabelled
    rows = -(-count // 2)
    tile = TILE * 60 // 90
    assert found.shape[0] == 2 * MARGIN + ROW + rows * (tile + CAPTION + GAP) + ROW


def test_the_legend_has_what_is_seen():
    found = sheet(tiles(1), LABELS, "")
    below = found[MARGIN + ROW + CAPTION + TILE * 60 // 90 + GAP :]
    for colour in LABELS.colours:
        assert (below == colour).all(2).any()
    without = Tile("t", "n", np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), np.uint8))
    below = sheet([without], LABELS, "")[MARGIN + ROW + CAPTION + TILE + GAP :]
    assert not (below == LABELS.colours[1]).all(2).any()


def test_the_page_has_names_figures_and_problems():
    survey = {
        "format": "cvat",
        "splits": {"train": 2},
        "sizes": [{"width": 90, "height": 60, "images": 2}],
        "why": "it has labelmap.txt",
        "problems": [{"text": "a <b> is broken", "kind": "broken", "fatal": True}],
        "notes": [],
        "classes": [
            {"name": name, "share": 0.25 * (1 + index), "images": 3}
            for index, name in enumerate(LABELS.names)
        ],
    }
    text = page(tiles(2), LABELS, "my set", survey)
    assert len(Page(text).sources) == 2
    assert "a name, quite &lt;long&gt;" in text and "a &lt;b&gt; is broken" in text
    assert text.count("data:image/jpeg;base64,") == 2 and "50.00" in text
