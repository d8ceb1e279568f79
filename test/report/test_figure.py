"""The picture of one frame."""

from __future__ import annotations

import cv2
import numpy as np

from bisenet_ros.labels import LabelSet
from bisenet_ros.report import figure as picture

LABELS = LabelSet(("road", "tree", "kerb"), ((128, 64, 128), (107, 142, 35), (10, 20, 230)))


def view() -> picture.View:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    truth = np.zeros((30, 40), np.uint8)
    truth[:10], truth[-2:] = 1, 255
    return picture.View(image, truth, np.zeros_like(truth), image // 2)


def test_the_picture_shows_the_four_views_and_a_legend():
    drawn = picture.grid(view(), LABELS, "a caption")
    height = round(picture.PANEL * 30 / 40)
    assert drawn.dtype == np.uint8 and drawn.shape[2] == 3
    assert drawn.shape[1] == 2 * picture.MARGIN + 2 * picture.PANEL + picture.GAP
    left = picture.MARGIN + picture.PANEL + picture.GAP
    top = picture.MARGIN + picture.TITLE
    truth = drawn[top : top + height, left : left + picture.PANEL]
    assert tuple(truth[height // 6, 300]) == LABELS.colours[1]
    assert tuple(truth[height // 2, 300]) == LABELS.colours[0]
    assert tuple(truth[-10, 300]) == (0, 0, 0)
    below = drawn[top + 2 * height + picture.TITLE + picture.GAP :].reshape(-1, 3)
    for colour in (*LABELS.colours, (0, 0, 0)):
        assert (below == colour).all(1).sum() > 100


def test_a_flat_colour_stays_itself_when_enlarged():
    ids = np.zeros((7, 13), np.uint8)
    ids[:, 6:] = 2
    panel = picture._crisp(picture.colours(ids, LABELS), 388)
    assert tuple(panel[5, 5]) == LABELS.colours[0]
    assert tuple(panel[-5, -5]) == LABELS.colours[2]
    exact = (cv2.absdiff(panel[:, :300], np.full_like(panel[:, :300], LABELS.colours[0]))).max()
    assert exact == 0
