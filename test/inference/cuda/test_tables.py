"""The tables alone, against OpenCV and PyTorch."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bisenet_ros.inference.cuda.plain import preprocess
from bisenet_ros.inference.cuda.tables import normalisation_table, resize_grid, upsample_grid

CPU = torch.device("cpu")
SIDES = st.integers(1, 70)
# With these a byte goes through the table of levels unchanged.
BYTES = normalisation_table((0.0, 0.0, 0.0), (1 / 255,) * 3, torch.float32)


def resize(image: np.ndarray, size: tuple[int, int], padded: tuple[int, int]) -> np.ndarray:
    out = torch.empty(3, *padded)
    grid = resize_grid((image.shape[0], image.shape[1]), size, padded, CPU)
    preprocess(torch.from_numpy(image), out, grid, BYTES, "rgb")
    return out.round().to(torch.uint8).permute(1, 2, 0).numpy()


@settings(max_examples=150, deadline=None)
@given(source=st.tuples(SIDES, SIDES), target=st.tuples(SIDES, SIDES), seed=st.integers(0, 99))
def test_resizing_is_opencvs_to_the_last_bit(source, target, seed):
    image = np.random.default_rng(seed).integers(0, 256, (*source, 3), np.uint8)
    expected = cv2.resize(image, target[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(resize(image, target, target), expected)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((720, 1280), (512, 1024)),
        ((360, 480), (720, 960)),
        ((1024, 2048), (512, 1024)),  # OpenCV takes its area code for an exact half
        ((512, 1024), (512, 1024)),
        ((1080, 1920), (104, 208)),
    ],
)
def test_resizing_is_opencvs_at_sizes_of_cameras(source, target):
    image = np.random.default_rng(1).integers(0, 256, (*source, 3), np.uint8)
    expected = cv2.resize(image, target[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(resize(image, target, target), expected)


@settings(max_examples=30, deadline=None)
@given(source=st.tuples(SIDES, SIDES), target=st.tuples(SIDES, SIDES), extra=st.integers(0, 31))
def test_padding_repeats_the_last_row_and_column(source, target, extra):
    image = np.random.default_rng(2).integers(0, 256, (*source, 3), np.uint8)
    padded = resize(image, target, (target[0] + extra, target[1] + extra // 2))
    whole = np.pad(resize(image, target, target), ((0, extra), (0, extra // 2), (0, 0)), "edge")
    assert np.array_equal(padded, whole)


@settings(max_examples=60, deadline=None)
@given(source=st.integers(1, 300), target=st.integers(1, 5000))
def test_upsampling_uses_the_same_neighbours_as_pytorch(source, target):
    ramp = torch.arange(source, dtype=torch.float32)[None, None, None]
    expected = torch.nn.functional.interpolate(
        ramp, (1, target), mode="bilinear", align_corners=False
    )[0, 0, 0]
    left, right = (upsample_grid((1, source), (1, target), CPU).columns.indices).long()
    near, far = upsample_grid((1, source), (1, target), CPU).columns.weights
    assert torch.allclose(left * near + right * far, expected, rtol=1e-6, atol=1e-4)
    assert left.min() >= 0 and right.max() < source
    assert torch.all(near + far == 1) and torch.all((far >= 0) & (far <= 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_normalisation_table_holds_the_normalised_bytes(dtype):
    table = normalisation_table((0.4, 0.5, 0.6), (0.2, 0.3, 0.25), dtype)
    assert table.shape == (3, 256) and table.dtype == dtype
    for channel, (mean, std) in enumerate([(0.4, 0.2), (0.5, 0.3), (0.6, 0.25)]):
        exact = (np.arange(256) / 255 - mean) / std
        error = np.abs(table[channel].double().numpy() - exact)
        assert (error <= torch.finfo(dtype).eps * np.abs(exact) + 1e-6).all()
