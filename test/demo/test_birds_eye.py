"""The ground seen from above."""

from __future__ import annotations

import cv2
import numpy as np

from bisenet_ros.datasets import CAMVID
from bisenet_ros.demo.birds_eye import GRID, beside, colours_of, of_drive
from bisenet_ros.labels import LabelSet
from bisenet_ros.projection.costs import LETHAL, UNKNOWN

ROAD, PAVEMENT, CAR, SKY = (CAMVID.names.index(n) for n in ("road", "pavement", "car", "sky"))
GREEN, RED, GREY = ((52, 168, 110), (224, 62, 62), (43, 47, 54))


def street() -> np.ndarray:
    """A road between pavements to the left and right, a car ahead on the left."""
    mask = np.full((360, 480), SKY, np.uint8)
    mask[181:] = ROAD
    mask[181:, :200] = PAVEMENT
    cv2.rectangle(mask, (90, 100), (150, 260), CAR, -1)
    return mask


def test_ahead_is_up_and_left_is_left():
    view = of_drive("camvid_drive", CAMVID, 360, 480)
    picture = view.draw(street(), 400)
    assert picture.shape == (400, 400, 3)
    red = np.argwhere((picture == RED).all(-1))
    assert len(red) and red[:, 1].max() < 200  # left of the middle
    green = (picture == GREEN).all(-1)
    assert green[:, 200:].sum() > green[:, :200].sum()
    # Its foot is in row 260 of the image; the horizon is in the middle.
    ahead = GRID.x_max - red[:, 0].max() / 400 * (GRID.x_max - GRID.x_min)
    assert abs(ahead - 1.4 * 1.04 * 480 / (260.5 - 179.5)) < 2 * GRID.resolution
    assert (picture[-1, 0] == GREY).all() and (picture[-1, -1] == GREY).all()


def test_costs_have_their_colours():
    shown = colours_of(np.array([[0, LETHAL, UNKNOWN, 50]], np.int8))[0]
    assert [tuple(c) for c in shown[:3]] == [GREEN, RED, GREY]
    assert tuple(shown[3]) not in (GREEN, RED, GREY)


def test_only_the_sample_drive_has_one():
    assert of_drive("another_drive", CAMVID, 360, 480) is None
    other = LabelSet(("floor", "wall"), ((0, 0, 0), (1, 1, 1)))
    assert of_drive("camvid_drive", other, 360, 480) is None


def test_the_two_pictures_stand_side_by_side():
    both = beside(np.zeros((6, 8, 3), np.uint8), np.full((6, 5, 3), 7, np.uint8))
    assert both.shape == (6, 8 + 8 + 5, 3) and (both[:, -5:] == 7).all()
