"""Triton's kernels against the plain versions: on the GPU, or interpreted on the CPU.

Without a GPU and outside the interpreter this file is not collected; test_interpreter.py runs it.
"""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bisenet_ros.checkpoints import load
from bisenet_ros.inference.cuda import backend, kernels, plain
from bisenet_ros.inference.cuda.pipeline import CudaPipeline
from bisenet_ros.inference.cuda.plain import ClassifyOutputs
from bisenet_ros.inference.cuda.tables import (
    as_camera,
    byte_table,
    normalisation_table,
    resize_grid,
    upsample_grid,
)
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.result import OutputRequest

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
SLOW = settings(
    max_examples=7, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def channels_last(*shape: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """One image of a batch, laid out as the network's input and logits are."""
    batch = torch.randn(2, *shape).to(device, dtype)
    return batch.contiguous(memory_format=torch.channels_last)[1]


def check_fit(device, source, target, padded, order, dtype):
    random = np.random.default_rng(0)
    raw = torch.from_numpy(random.integers(0, 256, (*source, 3), np.uint8)).to(device)
    table = normalisation_table((0.4, 0.5, 0.6), (0.2, 0.3, 0.25), dtype).to(device)
    grid = resize_grid(source, target, padded, device)
    ours = channels_last(3, *padded, dtype=dtype, device=device)
    theirs = channels_last(3, *padded, dtype=dtype, device=device)
    kernels.preprocess(raw, ours, grid, table, order)
    plain.preprocess(raw, theirs, grid, table, order)
    assert torch.equal(ours, theirs)


def check_classify(
    device,
    classes,
    source,
    size,
    order,
    dtype,
    threshold,
    alpha,
    parts,
    turns=0,
    groups=None,
    temperature=1.0,
):
    torch.manual_seed(classes)
    random = np.random.default_rng(0)
    logits = channels_last(classes, *source, dtype=dtype, device=device) * 3
    raw = torch.from_numpy(random.integers(0, 256, (*size, 3), np.uint8)).to(device)
    palette = torch.from_numpy(random.integers(0, 256, (256, 3), np.uint8)).to(device)
    grid = upsample_grid(source, size, device, turns)
    seen = as_camera(logits, turns)
    ours, theirs = (empty(size, parts, device) for _ in range(2))
    for version, out in ((kernels, ours), (plain, theirs)):
        version.classify(
            seen, raw, grid, palette, order, threshold, alpha, out, groups, temperature
        )
    if threshold == 0:
        assert torch.equal(ours.mask, theirs.mask)
    else:  # the last bits of exp may put a pixel on the other side
        assert (ours.mask != theirs.mask).float().mean() < 0.01
    agree = ours.mask == theirs.mask
    if ours.overlay is not None:
        assert torch.equal(ours.overlay[agree], theirs.overlay[agree])
    if ours.confidence is not None:
        difference = (ours.confidence.int() - theirs.confidence.int()).abs()
        assert difference.max() <= 1 and (difference > 0).float().mean() < 0.01
    return ours, logits


def empty(size, parts, device) -> ClassifyOutputs:
    mask = torch.full(size, 77, dtype=torch.uint8, device=device)
    confidence = torch.full_like(mask, 77) if "confidence" in parts else None
    overlay = mask[..., None].repeat(1, 1, 3) if "overlay" in parts else None
    return ClassifyOutputs(mask, confidence, overlay)


@pytest.mark.parametrize(("dtype", "order"), list(zip(DTYPES, ["rgb", "bgr", "rgb"], strict=True)))
@pytest.mark.parametrize(
    ("source", "target", "padded"),
    [
        ((1, 1), (8, 8), (16, 32)),
        ((1, 300), (8, 24), (12, 32)),
        ((53, 1), (8, 8), (8, 8)),
        ((31, 37), (16, 280), (20, 288)),  # wider than a block
        ((16, 32), (24, 64), (24, 64)),
    ],
)
def test_preprocess(device, source, target, padded, order, dtype):
    check_fit(device, source, target, padded, order, dtype)


@SLOW
@given(
    source=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    target=st.tuples(st.integers(1, 2), st.integers(1, 5)),
    order=st.sampled_from(["rgb", "bgr"]),
)
def test_preprocess_at_any_size(device, source, target, order):
    target = (8 * target[0], 8 * target[1])
    padded = (target[0] + 1, target[1] + 3)
    check_fit(device, source, target, padded, order, torch.float16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("classes", "size"),
    [(1, (5, 7)), (2, (1, 1)), (2, (23, 29)), (11, (1, 31)), (19, (13, 17)), (150, (3, 11))],
)
def test_classify(device, slow_scores, assert_same_class, classes, size, dtype):
    parts = ("confidence", "overlay")
    out, logits = check_classify(device, classes, (3, 5), size, "bgr", dtype, 0.0, 0.3, parts)
    assert_same_class(out.mask.cpu().numpy(), slow_scores(logits, size))


@pytest.mark.parametrize("parts", [(), ("confidence",), ("overlay",), ("confidence", "overlay")])
@pytest.mark.parametrize("threshold", [0.0, 0.45])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_classify_with_any_request(device, parts, threshold, order):
    size = ((2, 3), (4, 270))
    temperature = 2.0 if order == "bgr" else 1.0
    check_classify(
        device, 5, *size, order, torch.float16, threshold, 0.5, parts, temperature=temperature
    )


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotated_cameras(device, turns):
    source, target, padded = (31, 37), (16, 24), (20, 32)
    raw = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (*source, 3), np.uint8))
    raw = raw.to(device)
    table = normalisation_table((0.4, 0.5, 0.6), (0.2, 0.3, 0.25), torch.float16).to(device)
    grid = resize_grid(source, target, padded, device, turns)
    ours = channels_last(3, *padded, dtype=torch.float16, device=device)
    theirs = channels_last(3, *padded, dtype=torch.float16, device=device)
    kernels.preprocess(raw, as_camera(ours, turns), grid, table, "rgb")
    plain.preprocess(raw, as_camera(theirs, turns), grid, table, "rgb")
    assert torch.equal(ours, theirs)
    parts = ("confidence", "overlay")
    check_classify(device, 5, (2, 3), (11, 23), "rgb", torch.float16, 0.0, 0.5, parts, turns)


@pytest.mark.parametrize("parts", [(), ("confidence", "overlay")])
@pytest.mark.parametrize("threshold", [0.0, 0.45])
def test_classify_with_groups(device, parts, threshold):
    groups = torch.full((256,), 255, dtype=torch.uint8, device=device)
    groups[:4] = torch.tensor([1, 0, 1, 0])  # class 4 is in none
    for unlabelled in (255, 1):
        groups[255] = unlabelled
        out, _ = check_classify(
            *(device, 5, (2, 3), (4, 270), "rgb", torch.float16, threshold, 0.5, parts),
            groups=groups,
            temperature=1.7 if unlabelled == 1 else 1.0,
        )
        assert set(out.mask.unique().tolist()) <= {0, 1, 255}
        if out.confidence is not None:
            assert not out.confidence[out.mask == 255].any()


def test_shrinking_bytes_is_opencvs(device):
    raw = np.random.default_rng(0).integers(0, 256, (30, 44, 3), np.uint8)
    small = torch.empty(15, 22, 3, dtype=torch.uint8, device=device)
    grid = resize_grid((30, 44), (15, 22), (15, 22), device)
    there = torch.from_numpy(raw).to(device)
    kernels.preprocess(there, small.permute(2, 0, 1), grid, byte_table().to(device), "bgr")
    expected = cv2.resize(raw, (22, 15), interpolation=cv2.INTER_LINEAR)[..., ::-1]
    assert np.array_equal(small.cpu().numpy(), expected)


@SLOW
@given(
    source=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    size=st.tuples(st.integers(1, 14), st.integers(1, 40)),
    alpha=st.floats(0, 1),
)
def test_classify_at_any_size(device, source, size, alpha):
    parts = ("confidence", "overlay")
    check_classify(device, 3, source, size, "rgb", torch.float16, 0.0, alpha, parts)


def test_ties_go_to_the_lowest_class(device):
    logits = channels_last(6, 3, 3, dtype=torch.float16, device=device)
    logits[3], logits[5] = logits[1], logits[0]
    raw = torch.zeros(13, 11, 3, dtype=torch.uint8, device=device)
    palette = torch.zeros(256, 3, dtype=torch.uint8, device=device)
    for parts in ((), ("confidence",)):
        out = empty((13, 11), parts, device)
        grid = upsample_grid((3, 3), (13, 11), device)
        kernels.classify(logits, raw, grid, palette, "rgb", 0.0, 0.5, out)
        assert set(out.mask.unique().tolist()) <= {0, 1, 2, 4}


@pytest.mark.parametrize(("above", "mask"), [(0.0, 0), (1e-6, 255)])
def test_a_probability_that_equals_the_threshold_is_enough(device, above, mask):
    logits = torch.zeros(4, 3, 3, dtype=torch.float16, device=device)  # a quarter each
    raw = torch.zeros(13, 11, 3, dtype=torch.uint8, device=device)
    palette = torch.zeros(256, 3, dtype=torch.uint8, device=device)
    out = empty((13, 11), ("confidence",), device)
    grid = upsample_grid((3, 3), (13, 11), device)
    kernels.classify(logits, raw, grid, palette, "rgb", 0.25 + above, 0.5, out)
    assert (out.mask == mask).all()
    assert (out.confidence == (64 if mask == 0 else 0)).all()


def test_they_are_chosen_where_they_work(device):
    assert backend.choose(device, 19, torch.float16) == (kernels, "")


def test_the_whole_pipeline_with_the_kernels(device, small_weights, picture, monkeypatch):
    network, card = load(small_weights)
    compute = Compute(device, "fp32")
    images, orders = [picture(6, 30), picture(7, 41, 1)], ["rgb", "bgr"]
    wanted = [OutputRequest(confidence=True, overlay=True), OutputRequest(threshold=0.4)]
    ours = CudaPipeline(network, card, compute, (16, 24))
    assert ours.pixels is kernels and not ours.compute.fallback
    monkeypatch.setattr(backend, "choose", lambda *_: (plain, ""))
    theirs = CudaPipeline(network, card, compute, (16, 24))
    assert theirs.pixels is plain
    for a, b in zip(ours(images, orders, wanted), theirs(images, orders, wanted), strict=True):
        assert (a.mask != b.mask).mean() < 0.01
        assert (a.overlay is None) == (b.overlay is None)
        assert (a.confidence is None) == (b.confidence is None)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 64, 6, 11), (3, 16, 1, 1), (2, 1, 3, 5)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_bias_and_relu(device, shape, dtype, layout):
    torch.manual_seed(0)
    x = torch.randn(shape).to(device, dtype).contiguous(memory_format=layout)
    bias = torch.randn(shape[1]).to(device, dtype)
    expected = torch.relu(x + bias[:, None, None])
    kernels.bias_relu(x, bias)
    if device.type == "cpu" and dtype is torch.bfloat16:  # the interpreter cuts bfloat16 off
        assert torch.allclose(x.float(), expected.float(), rtol=2**-7)
    else:
        assert torch.equal(x, expected)
