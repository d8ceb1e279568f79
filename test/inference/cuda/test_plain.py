"""The plain PyTorch kernels against slow and simple versions."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bisenet_ros.inference.cuda import plain
from bisenet_ros.inference.cuda.plain import ClassifyOutputs, classify, preprocess
from bisenet_ros.inference.cuda.tables import normalisation_table, resize_grid, upsample_grid

CPU = torch.device("cpu")


def outputs(height: int, width: int) -> ClassifyOutputs:
    """All outputs."""
    return ClassifyOutputs(
        torch.empty(height, width, dtype=torch.uint8),
        torch.empty(height, width, dtype=torch.uint8),
        torch.empty(height, width, 3, dtype=torch.uint8),
    )


def run(logits, size, threshold=0.0, alpha=0.5, order="rgb", seed=0, temperature=1.0):
    random = np.random.default_rng(seed)
    raw = random.integers(0, 256, (*size, 3), np.uint8)
    palette = random.integers(0, 256, (256, 3), np.uint8)
    out = outputs(*size)
    grid = upsample_grid(logits.shape[1:], size, CPU)
    palette_here, raw_here = torch.from_numpy(palette), torch.from_numpy(raw)
    classify(logits, raw_here, grid, palette_here, order, threshold, alpha, out, None, temperature)
    return [part.numpy() for part in out], raw if order == "rgb" else raw[..., ::-1], palette


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_preprocess_is_resize_reorder_normalise_pad(picture, order, dtype):
    image = picture(37, 53)
    table = normalisation_table((0.4, 0.5, 0.6), (0.2, 0.3, 0.25), dtype)
    out = torch.empty(1, 3, 32, 64, dtype=dtype).contiguous(memory_format=torch.channels_last)[0]
    preprocess(
        torch.from_numpy(image), out, resize_grid((37, 53), (24, 40), (32, 64), CPU), table, order
    )
    small = cv2.resize(image, (40, 24), interpolation=cv2.INTER_LINEAR)
    rgb = small if order == "rgb" else small[..., ::-1]
    rgb = np.pad(rgb, ((0, 8), (0, 24), (0, 0)), "edge")
    bytes_ = torch.from_numpy(rgb.astype(np.int64))
    for channel in range(3):
        assert torch.equal(out[channel], table[channel][bytes_[..., channel]])


@pytest.mark.parametrize("classes", [1, 2, 11, 19, 150, 255])
@pytest.mark.parametrize("size", [(1, 1), (1, 17), (13, 1), (11, 23), (40, 30)])
def test_the_best_class_of_every_pixel(slow_scores, assert_same_class, classes, size):
    torch.manual_seed(classes)
    logits = torch.randn(classes, 3, 5) * 4
    (mask, _, _), _, _ = run(logits, size)
    assert_same_class(mask, slow_scores(logits, size))


@settings(max_examples=40, deadline=None)
@given(
    source=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    seed=st.integers(0, 99),
    temperature=st.sampled_from([1.0, 0.4, 2.5]),
)
def test_any_size(slow_scores, assert_same_class, source, size, seed, temperature):
    logits = torch.from_numpy(np.random.default_rng(seed).normal(size=(4, *source)) * 3).float()
    (mask, confidence, _), _, _ = run(logits, size, temperature=temperature)
    scores = slow_scores(logits, size)
    assert_same_class(mask, scores)
    assert np.array_equal(mask, run(logits, size)[0][0])
    powers = np.exp((scores - scores.max(0)) / temperature)
    assert np.abs(confidence - 255 / powers.sum(0)).max() < 0.501


def test_ties_go_to_the_lowest_class():
    logits = torch.randn(6, 4, 4)
    logits[3], logits[5] = logits[1], logits[0]
    (mask, _, _), _, _ = run(logits, (19, 23))
    assert set(np.unique(mask)) <= {0, 1, 2, 4}
    (mask, _, _), _, _ = run(torch.zeros(7, 2, 2), (9, 9))
    assert (mask == 0).all()


def test_unlikely_pixels_are_unlabelled_and_show_the_camera():
    logits = torch.randn(5, 4, 6)
    (plain_mask, confidence, _), _, _ = run(logits, (20, 30))
    threshold = float(np.median(confidence)) / 255
    (mask, same, overlay), camera, _ = run(logits, (20, 30), threshold)
    assert np.array_equal(np.where(mask == 255, 0, confidence), same)
    assert (mask[confidence < threshold * 255 - 1] == 255).all()
    likely = confidence > threshold * 255 + 1
    assert np.array_equal(mask[likely], plain_mask[likely]) and 0 < likely.mean() < 1
    assert np.array_equal(overlay[mask == 255], camera[mask == 255])


def test_a_probability_that_equals_the_threshold_is_enough():
    logits = torch.zeros(4, 2, 3)  # four classes of exactly a quarter each
    (kept, sure, _), _, _ = run(logits, (6, 7), 0.25)
    assert (kept == 0).all() and (sure == 64).all()
    (dropped, unsure, _), _, _ = run(logits, (6, 7), float(np.nextafter(np.float32(0.25), 1)))
    assert (dropped == 255).all() and not unsure.any()


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5, 0.3, 1.0])
def test_the_overlay_is_opencvs_blend(alpha, order):
    (mask, _, overlay), camera, palette = run(torch.randn(9, 6, 6), (61, 67), 0.0, alpha, order)
    colours = cv2.applyColorMap(mask, palette.reshape(256, 1, 3))
    expected = cv2.addWeighted(np.ascontiguousarray(camera), 1 - alpha, colours, alpha, 0)
    difference = np.abs(overlay.astype(int) - expected)
    # Where the exact value is a half, a fused multiply-add in OpenCV may round the other way.
    assert difference.max() <= (1 if alpha == 0.3 else 0) and (difference > 0).mean() < 0.01


def test_strips_do_not_show(monkeypatch):
    logits = torch.randn(5, 4, 6)
    whole, _, _ = run(logits, (37, 29), 0.4)
    monkeypatch.setattr(plain, "STRIP_ELEMENTS", 5 * 29 * 4)
    strips, _, _ = run(logits, (37, 29), 0.4)
    assert all(np.array_equal(a, b) for a, b in zip(whole, strips, strict=True))


def test_only_requested_outputs_are_computed():
    logits, raw = torch.randn(3, 2, 2), torch.zeros(8, 8, 3, dtype=torch.uint8)
    out = ClassifyOutputs(torch.full((8, 8), 77, dtype=torch.uint8))
    palette = torch.zeros(256, 3, dtype=torch.uint8)
    classify(logits, raw, upsample_grid((2, 2), (8, 8), CPU), palette, "rgb", 0.0, 0.5, out)
    assert out.mask.max() < 3
