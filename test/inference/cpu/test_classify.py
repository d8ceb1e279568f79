"""Class-by-class argmax against argmax of the full tensor."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bisenet_ros.inference.cpu import classify as module
from bisenet_ros.inference.cpu import tiles, wide_rows
from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.cpu.classify import classify
from bisenet_ros.inference.cpu.tile_scores import Rule, Work

BUFFERS = Buffers()


def slow_scores(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(n, H, W) float64, all at once."""
    tensor = torch.from_numpy(logits).double()[None]
    return torch.nn.functional.interpolate(
        tensor, size, mode="bilinear", align_corners=False
    ).numpy()[0]


def check(logits: np.ndarray, size: tuple[int, int], temperature: float = 1.0) -> None:
    scores = slow_scores(logits, size)
    mask, bare = BUFFERS.lend(size, np.uint8), BUFFERS.lend(size, np.uint8)
    confidence = BUFFERS.lend(size, np.uint8)
    classify(logits, bare, None, BUFFERS)
    classify(logits, mask, confidence, BUFFERS, Rule(temperature=temperature))
    assert np.array_equal(mask, bare)
    chosen = np.take_along_axis(scores, mask[None].astype(int), 0)[0]
    best = scores.max(0)
    scale = np.abs(logits).max() + 1
    assert (best - chosen).max() <= 1e-5 * scale  # rounding of the weights between two logits
    probability = 1 / np.exp((scores - best) / temperature).sum(0)
    rounding = 0.5 + 255e-4 * scale / min(1, temperature)
    assert np.abs(confidence - 255 * probability).max() <= rounding


@settings(max_examples=200, deadline=None)
@given(
    classes=st.integers(1, 7),
    grid=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    size=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    seed=st.integers(0, 2**31),
    temperature=st.sampled_from([1.0, 0.3, 1.7, 20.0]),
)
def test_any_size_equals_the_slow_version(classes, grid, size, seed, temperature):
    logits = np.random.default_rng(seed).normal(0, 3, (classes, *grid)).astype(np.float32)
    check(logits, size, temperature)


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920), (7, 1921), (4, 1), (1, 4), (4, 4)])
@pytest.mark.parametrize("classes", [19, 255])
def test_camera_sizes_and_many_classes(size, classes):
    if classes == 255 and size[0] > 100:
        size = (size[0] // 10, size[1] // 10)
    logits = np.random.default_rng(1).normal(0, 3, (classes, 23, 40)).astype(np.float32)
    check(logits, size)


@pytest.fixture
def small_tiles(monkeypatch):
    """Masks are cut into tiles of 7 × 5 pixels, and logits are widened a few rows at a time."""
    monkeypatch.setattr(tiles, "TILE_WIDTH", 7)
    monkeypatch.setattr(tiles, "TILE_HEIGHT", 5)
    monkeypatch.setattr(module, "LARGEST_TILE", 0)
    monkeypatch.setattr(wide_rows, "WIDE_VALUES", 700)
    tiles.bands.cache_clear()
    yield
    tiles.bands.cache_clear()


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    classes=st.integers(1, 7),
    grid=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    smooth=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_any_size_in_small_tiles_equals_the_slow_version(
    small_tiles, classes, grid, size, smooth, seed
):
    logits = np.random.default_rng(seed).normal(0, 3, (classes, *grid)).astype(np.float32)
    if smooth:  # large areas of one class, so that most classes are skipped in most tiles
        logits = cv2.blur(logits.transpose(1, 2, 0), (5, 5)).reshape(*grid, -1).transpose(2, 0, 1)
    check(np.ascontiguousarray(logits), size, 1.7)


@pytest.mark.parametrize("size", [(1, 300_000), (300_000, 1), (63, 5000), (520, 513)])
@pytest.mark.parametrize("grid", [(1, 1), (3, 40), (700, 600)])
def test_masks_of_several_tiles(size, grid):
    """Of any proportions, also smaller than the logits."""
    logits = np.random.default_rng(3).normal(0, 3, (3, *grid)).astype(np.float32)
    check(logits, size)


def test_a_class_that_is_best_only_between_logits_is_found(small_tiles):
    logits = np.array([[[10, 0]], [[0, 10]], [[6, 6]]], np.float32)
    mask = np.empty((10, 40), np.uint8)
    classify(logits, mask, None, BUFFERS)
    assert np.array_equal(np.unique(mask), [0, 1, 2]) and (mask[:, 20] == 2).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (6, 1), (7, 9)])
def test_the_lead_of_a_class_in_a_cell_is_over_the_best_lowest_corner(size):
    logits = np.random.default_rng(5).normal(0, 1, (4, *size)).astype(np.float32)
    before = logits.copy()
    found = module._lead(logits)
    for row in range(size[0]):
        for column in range(size[1]):
            corners = logits[:, row : row + 2, column : column + 2].reshape(4, -1)
            assert np.array_equal(found[:, row, column], corners.max(1) - corners.min(1).max())
    assert np.array_equal(logits, before)


def test_classes_that_cannot_win_in_a_tile_are_not_compared(small_tiles):
    """On the left class 1 is far above all, on the right class 2."""
    logits = np.zeros((3, 20, 40), np.float32)
    logits[0], logits[1, :, :20], logits[2, :, 20:] = -1, 5, 5
    work = Work(BUFFERS)
    parts = list(module._tiles(logits, (40, 80), BUFFERS, work))
    assert {tuple(may_win) for *_, may_win in parts} == {(1,), (1, 2), (2,)}
    both = {part[1].start for part in parts if part[3] == [1, 2]}
    assert both == {35}  # the tile of columns 35 to 41; the change is at 40


def test_ties_between_classes_in_tiles_go_to_the_lowest_id(small_tiles):
    logits = np.ones((5, 6, 6), np.float32)
    logits[0] = 0
    mask = np.full((30, 30), 77, np.uint8)
    classify(logits, mask, None, BUFFERS)
    assert (mask == 1).all()


def test_ties_go_to_the_lowest_id():
    logits = np.ones((5, 3, 4), np.float32)
    logits[0] = 0
    mask = np.full((9, 9), 77, np.uint8)
    classify(logits, mask, None, BUFFERS)
    assert (mask == 1).all()


def test_far_apart_logits_neither_overflow_nor_vanish():
    logits = np.zeros((3, 2, 2), np.float32)
    logits[1], logits[2] = 1e4, -1e4
    mask, confidence = np.empty((2, 5, 5), np.uint8)
    for temperature in (1.0, 0.01, 100.0):
        classify(logits, mask, confidence, BUFFERS, Rule(temperature=temperature))
        assert (mask == 1).all() and (confidence == 255).all()


@pytest.mark.parametrize("size", [(7, 9), (23, 31), (530, 540)])
def test_groups_have_the_probability_of_their_classes_together(size):
    random = np.random.default_rng(2)
    logits = random.normal(0, 2, (5, 4, 6)).astype(np.float32)
    groups = np.full(256, 255, np.uint8)
    groups[:5] = (3, 1, 3, 255, 1)
    scores = slow_scores(logits, size)
    powers = np.exp(scores - scores.max(0))
    mask = BUFFERS.lend(size, np.uint8)
    confidence = BUFFERS.lend(size, np.uint8)
    classify(logits, mask, confidence, BUFFERS, Rule(groups, unlabelled=9))
    assert np.array_equal(mask, groups[scores.argmax(0)])
    own = np.where(groups[:5, None, None] == mask, powers, 0).sum(0)
    wanted = np.where(mask == 255, 0, 255 * own / powers.sum(0))  # of no class is sure of nothing
    assert np.abs(confidence - wanted).max() < 0.501
    before = mask.copy()
    classify(logits, mask, None, BUFFERS, Rule(groups))
    assert np.array_equal(mask, before)


@pytest.mark.parametrize("size", [(7, 9), (530, 540)])
@pytest.mark.parametrize("threshold", [0.3, 0.6, 1.0])
def test_what_is_less_probable_than_the_threshold_is_unlabelled(size, threshold):
    logits = np.random.default_rng(4).normal(0, 2, (5, 4, 6)).astype(np.float32)
    scores = slow_scores(logits, size)
    powers = np.exp((scores - scores.max(0)) / 1.5)
    probability = 1 / powers.sum(0)
    sure = np.abs(probability - threshold) > 1e-5  # of the rounding
    mask, bare, confidence = (BUFFERS.lend(size, np.uint8) for _ in range(3))
    rule = Rule(temperature=1.5, threshold=threshold, unlabelled=77)
    classify(logits, mask, confidence, BUFFERS, rule)
    classify(logits, bare, None, BUFFERS, rule)
    assert np.array_equal(mask, bare)
    kept = probability >= threshold
    assert np.array_equal(mask[sure], np.where(kept, scores.argmax(0), 77)[sure])
    wanted = np.where(kept, 255 * probability, 0)
    assert np.abs(confidence - wanted)[sure].max() < 0.501


def test_a_single_class_is_everywhere_and_sure():
    mask, confidence = np.full((2, 5, 6), 9, np.uint8)
    classify(np.full((1, 2, 3), -7.0, np.float32), mask, confidence, BUFFERS)
    assert not mask.any() and (confidence == 255).all()


def test_the_last_of_255_classes_is_found():
    logits = np.zeros((255, 2, 2), np.float32)
    logits[254] = 1.0
    mask, confidence = np.zeros((2, 4, 4), np.uint8)
    classify(logits, mask, confidence, BUFFERS)
    assert (mask == 254).all() and (confidence == round(255 * np.e / (np.e + 254))).all()
