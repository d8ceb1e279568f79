"""Temporal figures on scenes whose motion is known, and against loops over pixels."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from bisenet_ros.labels import UNLABELLED
from bisenet_ros.metrics.confusion import scores
from bisenet_ros.metrics.optical_flow import (
    CHECK_STEP,
    FlowMethod,
    OpticalFlow,
    consistent,
    warp_ids,
)
from bisenet_ros.metrics.stability import Stability

N = 3
PERIOD = 10**9 // 15


def texture(size: int) -> np.ndarray:
    """A smooth grey texture with detail everywhere, (size, size) uint8."""
    noise = np.random.default_rng(0).random((size, size)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def moving_scene(frames: int, step: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images (H, W, 3) and masks that belong to their texture, both moving by ``step``."""
    size = 400
    big = cv2.cvtColor(texture(size), cv2.COLOR_GRAY2RGB)
    ids = np.zeros((size, size), np.uint8)
    ids[:, size // 2 :] = 1
    cv2.circle(ids, (size // 2, size // 2), 45, 2, -1)
    scene = []
    for index in range(frames):
        x, y = 100 - index * step[0], 100 - index * step[1]
        scene.append((big[y : y + 180, x : x + 200], ids[y : y + 180, x : x + 200].copy()))
    return scene


def run(scene: list[tuple[np.ndarray, np.ndarray]], **more):
    stability = Stability(N, **more)
    frames = [
        stability.add(image, "rgb", mask, 10**9 + index * PERIOD)
        for index, (image, mask) in enumerate(scene)
    ]
    return stability.scores(), frames


def test_a_mask_that_moves_with_its_scene_is_consistent():
    found, frames = run(moving_scene(5, (7, -3)))
    assert (found.pairs, found.triples) == (4, 3)
    assert found.consistency.miou > 0.98  # borders between classes are a pixel off here and there
    assert found.disagreement < 0.005
    assert found.flicker < 0.001
    assert found.trusted > 0.85
    assert math.isnan(frames[0].consistency)
    assert math.isnan(frames[1].flicker_before)
    assert all(frame.consistency > 0.98 for frame in frames[1:])


def test_a_mask_that_stands_still_while_its_scene_moves_is_not():
    scene = moving_scene(5, (7, -3))
    found, _ = run([(image, scene[0][1]) for image, _ in scene])
    assert found.consistency.miou < 0.95
    assert found.disagreement > 0.02


def test_a_patch_that_goes_and_comes_back_is_flicker_of_exactly_its_size():
    (image, mask), *_ = moving_scene(1, (0, 0))
    odd = mask.copy()
    odd[10:30, 5:45] = (odd[10:30, 5:45] + 1) % N
    found, frames = run([(image, m) for m in (mask, mask, odd, mask, mask)])
    share = 20 * 40 / mask.size
    assert found.trusted == 1.0
    # Told by the frame after; of the triples only the middle one flickers.
    assert [frame.flicker_before for frame in frames[2:]] == pytest.approx([0, share, 0])
    assert found.flicker == pytest.approx(share / 3)
    assert [frame.disagreement for frame in frames[1:]] == pytest.approx([0, share, share, 0])
    assert found.disagreement == pytest.approx(share / 2)


def test_three_different_classes_are_no_flicker():
    (image, mask), *_ = moving_scene(1, (0, 0))
    found, _ = run([(image, np.full_like(mask, c)) for c in (0, 1, 2)])
    assert found.flicker == 0.0
    assert found.disagreement == 1.0
    found, _ = run([(image, np.full_like(mask, c)) for c in (0, 1, 0)])
    assert found.flicker == 1.0


def test_pixels_without_a_class_are_left_out():
    (image, mask), *_ = moving_scene(1, (0, 0))
    holed = mask.copy()
    holed[:90] = UNLABELLED
    found, _ = run([(image, m) for m in (mask, holed, mask)])
    assert found.consistency.miou == 1.0
    assert (found.disagreement, found.flicker) == (0.0, 0.0)
    empty = np.full_like(mask, UNLABELLED)
    found, frames = run([(image, empty)] * 3)
    assert math.isnan(found.consistency.miou)
    assert math.isnan(found.flicker)
    assert math.isnan(frames[2].disagreement)


def slow_scores(scene: list[tuple[np.ndarray, np.ndarray]], method: FlowMethod):
    """Confusion matrix, flicker and disagreement by loops over pixels; flows as computed."""
    flow = OpticalFlow(method)
    greys = [flow.grey(image, "rgb") for image, _ in scene]
    masks = [mask for _, mask in scene]
    ahead = [flow.between(a, b) for a, b in zip(greys, greys[1:], strict=False)]
    back = [flow.between(b, a) for a, b in zip(greys, greys[1:], strict=False)]
    confusion = np.zeros((N, N + 1), np.int64)
    counts = {"flicker": [0, 0], "differ": [0, 0]}
    height, width = masks[0].shape
    for t, mask in enumerate(masks):
        after = before = None
        if t + 1 < len(masks):
            after = np.where(
                consistent(ahead[t], back[t], CHECK_STEP),
                warp_ids(masks[t + 1], ahead[t], 255),
                255,
            )
        if t:
            before = np.where(
                consistent(back[t - 1], ahead[t - 1], CHECK_STEP),
                warp_ids(masks[t - 1], back[t - 1], 255),
                255,
            )
        for y in range(height):
            for x in range(width):
                a = 255 if before is None else int(before[y, x])
                b = int(mask[y, x])
                c = 255 if after is None else int(after[y, x])
                if c != 255 and b != 255:
                    confusion[b, c] += 1
                if a != 255 and b != 255:
                    counts["differ"][0] += a != b
                    counts["differ"][1] += 1
                if 255 not in (a, b, c):
                    counts["flicker"][0] += a == c and a != b
                    counts["flicker"][1] += 1
    return confusion, *(part / whole for part, whole in counts.values())


def test_everything_follows_the_slow_version():
    random = np.random.default_rng(3)
    scene = []
    for image, mask in moving_scene(5, (4, 2)):
        noisy = mask.copy()
        wrong = random.random(mask.shape) < 0.2
        noisy[wrong] = random.choice([0, 1, 2, 255], size=int(wrong.sum()))
        scene.append((image, noisy))
    found, _ = run(scene)
    confusion, flicker, differ = slow_scores(scene, FlowMethod())
    assert found.consistency.confusion.tolist() == confusion.tolist()
    assert found.consistency.miou == scores(confusion).miou
    assert found.flicker == flicker
    assert found.disagreement == differ


def test_gaps_jumps_and_other_sizes_make_no_pairs():
    image, mask = moving_scene(1, (0, 0))[0]
    small, small_mask = image[:100], mask[:100]

    def pairs(*frames: tuple[float, np.ndarray, np.ndarray]) -> tuple[int, int]:
        stability = Stability(N, max_gap_s=1.0)
        for seconds, picture, ids in frames:
            stability.add(picture, "rgb", ids, round(seconds * 1e9))
        found = stability.scores()
        return found.pairs, found.triples

    def at(*seconds: float) -> list[tuple[float, np.ndarray, np.ndarray]]:
        return [(s, image, mask) for s in seconds]

    assert pairs(*at(5, 5.5, 6)) == (2, 1)
    assert pairs(*at(5, 6, 7.001, 7.5)) == (2, 0)  # 1.001 s is too long
    assert pairs(*at(5, 5.1, 4, 4.1)) == (2, 0)  # the clock jumped back
    assert pairs(*at(5, 5.1, 5.1, 5.1, 5.2)) == (2, 1)  # a stamp that repeats is passed over
    assert pairs(*at(5), (5.1, small, small_mask), (5.2, small, small_mask)) == (1, 0)
    assert pairs(*at(5)) == pairs() == (0, 0)


def test_masks_of_large_cameras_are_compared_at_the_flow_s_size():
    (image, mask), *_ = moving_scene(1, (0, 0))
    large = cv2.resize(image, None, fx=6, fy=6)
    odd = np.zeros(large.shape[:2], np.uint8)
    stability = Stability(N, FlowMethod(max_side=128))
    for index, fill in enumerate((0, 1, 0)):
        odd[540:] = fill  # the lower half
        stability.add(large, "rgb", odd.copy(), index * PERIOD + 1)
    found = stability.scores()
    assert found.flicker == pytest.approx(0.5, abs=0.02)
    assert found.consistency.confusion.sum() <= 2 * 115 * 128


def test_figures_are_json_values_and_name_the_flow():
    found, _ = run(moving_scene(3, (2, 2)))
    figures = found.figures(["floor", "wall", "thing"])
    assert set(figures["per_class"]) == {"floor", "wall", "thing"}
    assert figures["temporal_consistency"] == found.consistency.miou
    assert figures["flow"]["method"] == "OpenCV DIS"
    assert figures["flow"]["preset"] == "fast"
    nothing, _ = run(moving_scene(1, (0, 0)))
    assert nothing.figures(["a", "b", "c"])["flicker"] is None
