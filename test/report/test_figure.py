"""The picture of one frame."""

from __future__ import annotations

import cv2
import numpy as np

from bisenet_ros.labels import LabelSet
from bisenet_ros.report import figure

LABELS = LabelSet(("road", "tree", "kerb"), ((128, 64, 128), (107, 142, 35), (10, 20, 230)))


def view() -> figure.View:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    truth = np.zeros((30, 40), np.uint8)
    truth[:10], truth[-2:] = 1, 255
    return figure.View(image, truth, np.zeros_like(truth), image // 2)


def test_the_picture_shows_the_four_views_and_a_legend():
    drawn = figure.grid(view(), LABELS, "a caption")
    height = round(figure.PANEL * 30 / 40)
    assert drawn.dtype == np.uint8 and drawn.shape[2] == 3
    assert drawn.shape[1] == 2 * figure.MARGIN + 2 * figure.PANEL + figure.GAP
    left = figure.MARGIN + figure.PANEL + figure.GAP
    top = figure.MARGIN + figure.TITLE
    truth = drawn[top : top + height, left : left + figure.PANEL]
    assert tuple(truth[height // 6, 300]) == LABELS.colours[1]
    assert tuple(truth[height // 2, 300]) == LABELS.colours[0]
    assert tuple(truth[-10, 300]) == (0, 0, 0)
    below = drawn[top + 2 * height + figure.TITLE + figure.GAP :].reshape(-1, 3)
    for colour in (*LABELS.colours, (0, 0, 0)):
        assert (below == colour).all(1).sum() > 100


def test_a_flat_colour_stays_itself_when_enlarged():
    ids = np.zeros((7, 13), np.uint8)
    ids[:, 6:] = 2
    panel = figure._crisp(figure.colours(ids, LABELS), 388)
    assert tuple(panel[5, 5]) == LABELS.colours[0]
    assert tuple(panel[-5, -5]) == LABELS.colours[2]
    exact = (cv2.absdiff(panel[:, :300], np.full_like(panel[:, :300], LABELS.colours[0]))).max()
    assert exact == 0
