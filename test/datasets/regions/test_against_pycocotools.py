"""COCO's regions against COCO's own library."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bisenet_ros.datasets.regions.canvas import Canvas
from bisenet_ros.datasets.regions.rle import decode_counts, text_to_counts

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")
coco = pytest.importorskip("pycocotools.mask")
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)


@given(arrays.arrays(np.uint8, SHAPES, elements=st.integers(0, 1)))
def test_its_run_lengths_are_read_as_it_reads_them(mask: np.ndarray):
    packed = coco.encode(np.asfortranarray(mask))
    counts = text_to_counts(packed["counts"].decode())
    assert np.array_equal(decode_counts(counts, mask.shape), mask.astype(bool))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 16)), min_size=4, max_size=4))
def test_boxes_on_whole_pixels_are_the_same(corners: list[tuple[int, int]]):
    (left, right), (top, bottom) = (sorted(values) for values in zip(*corners[:2], strict=True))
    right, bottom = right + 1, bottom + 1
    ring = [left, top, right, top, right, bottom, left, bottom]
    canvas = Canvas((18, 22), 0)
    canvas.polygon([np.reshape(ring, (-1, 2)).astype(float)], 1)
    theirs = coco.decode(coco.merge(coco.frPyObjects([ring], 18, 22)))
    assert np.array_equal(canvas.ids, theirs)


def test_polygons_differ_at_their_edges_alone():
    """Ours takes pixels whose centre is inside; theirs traces a line five times as fine."""
    random = np.random.default_rng(0)
    for _ in range(50):
        angles = np.sort(random.uniform(0, 2 * np.pi, 7))
        reach = random.uniform(6, 28, 7)
        ring = np.stack([32 + reach * np.cos(angles), 32 + reach * np.sin(angles)], 1)
        canvas = Canvas((64, 64), 0)
        canvas.polygon([ring], 1)
        theirs = coco.decode(coco.merge(coco.frPyObjects([ring.reshape(-1).tolist()], 64, 64)))
        rows, columns = np.nonzero(canvas.ids != theirs)
        ends = np.roll(ring, -1, 0)
        for place in np.stack([columns + 0.5, rows + 0.5], 1):
            along = np.clip(
                ((place - ring) * (ends - ring)).sum(1) / ((ends - ring) ** 2).sum(1), 0, 1
            )
            distance = np.hypot(*(ring + along[:, None] * (ends - ring) - place).T).min()
            assert distance <= 1
