"""Tiles cover the mask once, and name all logits their pixels depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.cpu.tiles import (
    LARGEST_PRODUCT,
    TILE_HEIGHT,
    TILE_WIDTH,
    bands,
    deepest,
)
from bisenet_ros.inference.cpu.wide_rows import WIDE_VALUES, WideRows
from bisenet_ros.inference.upsampling import upsample_axis

lengths = st.integers(1, 2000)


@settings(max_examples=100, deadline=None)
@given(
    source=st.tuples(st.integers(1, 300), st.integers(1, 300)), target=st.tuples(lengths, lengths)
)
def test_every_pixel_is_in_one_tile(source, target):
    covered = np.zeros(target, np.uint8)
    for band in bands(source, target):
        for tile in band.tiles:
            covered[band.rows, tile.columns] += 1
            assert covered[band.rows, tile.columns].size <= TILE_HEIGHT * TILE_WIDTH
    assert (covered == 1).all()


@settings(max_examples=100, deadline=None)
@given(source=st.integers(1, 300), target=lengths)
def test_weights_are_those_of_the_two_logits_a_row_lies_between(source, target):
    indices, weights = upsample_axis(source, target)
    for band in bands((source, 3), (target, 3)):
        rows = range(target)[band.rows]
        wanted = np.zeros((len(rows), source), np.float32)
        for place, row in enumerate(rows):
            for index, weight in zip(indices[:, row], weights[:, row], strict=True):
                wanted[place, index] += weight
        assert np.array_equal(band.weights, wanted[:, band.source_rows])
        assert np.allclose(band.weights.sum(1), 1)
        assert band.weights.dtype == np.float32 and not band.weights.flags.writeable


@settings(max_examples=100, deadline=None)
@given(source=st.integers(1, 5000), target=lengths)
def test_products_are_computed_in_the_calling_thread(source, target):
    plan = bands((source, 3), (target, 3))
    heights = {len(band.weights) for band in plan[:-1]}
    assert len(heights) <= 1  # all but the last are of one height
    for band in plan:
        product = band.weights.size * TILE_WIDTH
        assert product <= LARGEST_PRODUCT or len(band.weights) == 1
    if 4 * source <= target:
        assert heights <= {TILE_HEIGHT}


@settings(max_examples=100, deadline=None)
@given(source=st.integers(1, 300), target=lengths)
def test_cells_are_those_that_the_tile_lies_in(source, target):
    """Cell i lies between logits i and i + 1; beyond the last logit there is one more."""
    indices, _ = upsample_axis(source, target)
    for band in bands((3, source), (3, target)):
        for tile in band.tiles:
            first, second = indices[:, tile.columns]
            assert tile.cells == slice(first[0], max(second[-1], first[0] + 1))


@pytest.mark.parametrize("classes", [2, 171])
def test_rows_are_widened_a_few_at_a_time(classes):
    source, target = (270, 12), (2160, 3840)
    random = np.random.default_rng(0)
    logits = random.normal(size=(classes, *source)).astype(np.float32)
    buffers = Buffers()
    rows = WideRows(logits, target, buffers)
    kept = rows._wide
    assert kept.size <= max(WIDE_VALUES, classes * deepest(source, target) * target[1])
    indices, weights = upsample_axis(source[1], target[1])
    for band in bands(source, target):
        found = rows.of(band)
        near = logits[:, band.source_rows]
        wanted = near[..., indices[0]] * weights[0] + near[..., indices[1]] * weights[1]
        assert np.allclose(found, wanted, atol=1e-5)
