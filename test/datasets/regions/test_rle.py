"""Run lengths: COCO's and Label Studio's, both ways and against others' results."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_regions import coco_region, label_studio_rle
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bisenet_ros.datasets.regions.rle import (
    counts_to_text,
    decode_counts,
    decode_label_studio,
    encode_counts,
    text_to_counts,
)

MASKS = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=30))


@given(MASKS)
def test_masks_survive_cocos_runs(mask: np.ndarray):
    counts = encode_counts(mask)
    assert counts == coco_region(mask, "counts")["counts"] and sum(counts) == mask.size
    assert np.array_equal(decode_counts(counts, mask.shape), mask)
    text = counts_to_text(counts)
    assert text_to_counts(text) == text_to_counts(text.encode()) == counts


@given(st.lists(st.integers(0, 2**40), max_size=30))
def test_any_run_lengths_survive_as_text(counts: list[int]):
    assert text_to_counts(counts_to_text(counts)) == counts


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_masks_survive_label_studios_bits(mask: np.ndarray):
    assert np.array_equal(decode_label_studio(label_studio_rle(mask), mask.shape), mask)


def square(height: int, width: int) -> np.ndarray:
    """A square with a hole of one pixel."""
    mask = np.zeros((height, width), bool)
    mask[height // 3 : height // 3 * 2 + 1, width // 4 : width // 4 * 3 + 1] = True
    mask[height // 2, width // 2] = False
    return mask


# What pycocotools 2.0.11 makes of them.
COCO = {
    (3, 5): "422OO12",
    (40, 3): "=>m2",
    (30, 30): "l6;c000000000000000J^O0b060000000000V7",
}


@pytest.mark.parametrize("size", COCO)
def test_the_text_is_cocos(size: tuple[int, int]):
    mask = square(*size)
    assert counts_to_text(encode_counts(mask)) == COCO[size]
    assert np.array_equal(decode_counts(text_to_counts(COCO[size]), size), mask)


# label-studio-converter 0.0.59's encode_rle of the RGBA of a mask of 2×3 whose second row is set.
LABEL_STUDIO = [0, 0, 0, 24, 57, 27, 253, 176, 11, 127, 224]


def test_label_studios_own_bits():
    mask = decode_label_studio(LABEL_STUDIO, (2, 3))
    assert mask.tolist() == [[False] * 3, [True] * 3]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([3, 2], "its runs make 5 pixels; expected 6 for 2×3"),
        ([], "its runs make 0 pixels"),
        ([7, -1], "not whole numbers"),
        ([2.5, 3.5], "not whole numbers"),
        ([1, "a"], "not whole numbers|not numbers"),
        ([[1], [2, 3]], "not numbers"),
        ([2**63, 2**63, 6], "pixels; expected 6|not whole numbers"),
        ([10**30], "not whole numbers"),
        (None, "not whole numbers|not numbers"),
    ],
    ids=str,
)
def test_runs_that_make_no_mask(counts: object, said: str):
    with pytest.raises(ValueError, match=said):
        decode_counts(counts, (2, 3))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0\x10", "holds '.x10'"),
        ("0é", "holds"),
        ("P", "ends within"),
        ("o" * 100, "more than 60 bits"),
    ],
)
def test_texts_that_are_no_run_lengths(text: str, said: str):
    with pytest.raises(ValueError, match=said):
        text_to_counts(text)


@given(st.binary(max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_any_text_is_read_or_refused(text: bytes, height: int, width: int):
    """Where COCO's own library writes past its memory."""
    try:
        mask = decode_counts(text_to_counts(text), (height, width))
    except ValueError:
        return
    assert mask.shape == (height, width) and mask.dtype == bool


@given(st.lists(st.integers(0, 255), max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_any_bits_are_read_or_refused(bits: list[int], height: int, width: int):
    size = f"{height * width * 4:032b}"
    head = [int(size[i : i + 8], 2) for i in range(0, 32, 8)]
    for rle in (bits, head + bits):
        try:
            mask = decode_label_studio(rle, (height, width))
        except ValueError:
            continue
        assert mask.shape == (height, width)


@pytest.mark.parametrize(
    ("rle", "said"),
    [
        (10**12, "not a list of bytes"),
        ([256], "not a list of bytes"),
        (["a"], "not a list of bytes"),
        ([], "ends too early"),
        ([0, 0, 0, 16], "16 values; expected 24 for 2×3"),
        (LABEL_STUDIO[:-3], "ends too early"),
    ],
    ids=str,
)
def test_bits_that_are_no_mask(rle: object, said: str):
    with pytest.raises(ValueError, match=said):
        decode_label_studio(rle, (2, 3))  # type: ignore[arg-type]
