"""Ids and colours of labels to classes, against loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.label_decoding import LabelCoding, fit

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=4)
COLOURS = {(0, 0, 0): 255, (128, 64, 128): 0, (70, 70, 70): 1, (0, 0, 1): 2, (1, 0, 0): 1}


def slow(label: np.ndarray, known: dict[int, int], none: set[int]) -> list[list[int]] | int:
    """Classes, or the first id that is none."""
    found = []
    for row in label.tolist():
        for number in row:
            if number not in none and number not in known:
                return number
        found.append([255 if number in none else known[number] for number in row])
    return found


@given(st.data())
@pytest.mark.parametrize(("dtype", "none"), [("u1", 255), ("u2", 65535), ("i4", -1)])
def test_ids_follow_the_slow_version(dtype: str, none: int, data):
    numbers = st.sampled_from([0, 1, 2, 255, none, 4])
    rare = st.sampled_from([3, 5, 254]) if dtype == "u1" else st.sampled_from([3, 256, 1000])
    label = data.draw(hnp.arrays(dtype, data.draw(SHAPES), elements=st.one_of(numbers, rare)))
    for ids in ({}, {0: 1, 1: 0, 2: 255, 4: 2}):
        known = ids or {0: 0, 1: 1, 2: 2}
        coding = LabelCoding(3, ids)
        expected = slow(label, known, {255, none})
        if isinstance(expected, int):
            with pytest.raises(DataError, match="the label on /l holds id"):
                coding.classes(label, "the label on /l")
        else:
            found = coding.classes(label, "the label on /l")
            assert (found.dtype, found.tolist()) == (np.uint8, expected)


def test_a_stray_id_is_named_with_what_was_expected():
    with pytest.raises(DataError, match="stamp 7 ns holds id 11, which is no class; .* 0 to 10"):
        LabelCoding(11).classes(np.array([[3, 11]], np.uint8), "the label with stamp 7 ns")
    with pytest.raises(DataError, match="holds id -5"):
        LabelCoding(11).classes(np.array([[3, -5]], np.int32), "it")
    with pytest.raises(DataError, match="holds id 300.*ids of labels.yaml"):
        LabelCoding(2, {7: 0}, listed="labels.yaml").classes(np.array([[300]], np.uint16), "it")


@given(hnp.arrays(np.uint8, (3, 3), elements=st.integers(0, 4)))
def test_colours_become_their_classes(choice):
    table = np.array(list(COLOURS), np.uint8)
    classes = np.array(list(COLOURS.values()))
    found = LabelCoding(3, colours=COLOURS).classes(table[choice], "it")
    assert found.dtype == np.uint8
    assert found.tolist() == classes[choice].tolist()


def test_unknown_colours_are_named():
    label = np.zeros((2, 2, 3), np.uint8)
    label[1, 1] = (9, 8, 7)
    with pytest.raises(DataError, match=r"colour \(9, 8, 7\), which colours.yaml does not list"):
        LabelCoding(3, colours=COLOURS, listed="colours.yaml").classes(label, "it")
    with pytest.raises(DataError, match="holds colours; expected class ids"):
        LabelCoding(3).classes(label, "it")


def test_other_sizes_take_the_nearest_pixel():
    classes = np.array([[0, 1], [2, 255]], np.uint8)
    assert fit(classes, (2, 2, 3)) is classes
    assert fit(classes, (4, 6)).tolist() == [
        [0, 0, 0, 1, 1, 1],
        [0, 0, 0, 1, 1, 1],
        [2, 2, 2, 255, 255, 255],
        [2, 2, 2, 255, 255, 255],
    ]
    assert set(np.unique(fit(classes, (7, 9)))) == {0, 1, 2, 255}  # nothing in between
