"""The reference implementation against an independent version."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bisenet_ros.checkpoints import load
from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference import Segmenter
from bisenet_ros.inference.reference import Predictor


@pytest.fixture(scope="module")
def loaded(small_weights):
    return load(small_weights)


def picture(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """A smooth random image, so that its classes are regions."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)


def probabilities(network, card, image, size, flipped=False):
    """(n, H, W) softmax of one view, each step by itself."""
    seen = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    seen = seen[:, ::-1] if flipped else seen
    x = (seen.astype(np.float64) / 255 - card.mean) / card.std
    below, right = -size[0] % 32, -size[1] % 32
    x = np.pad(x, ((0, below), (0, right), (0, 0)), mode="edge").astype(np.float32)
    with torch.no_grad():
        logits = network(torch.from_numpy(x.transpose(2, 0, 1).copy())[None])
    logits = logits[..., : size[0] // 8, : size[1] // 8]
    logits = torch.flip(logits, (3,)) if flipped else logits
    large = F.interpolate(logits, image.shape[:2], mode="bilinear", align_corners=False)
    return large.softmax(1)[0]


def agree(mask: np.ndarray, mean: torch.Tensor) -> None:
    """The mask is the most probable class, except for near ties."""
    assert mask.dtype == np.uint8 and mask.shape == mean.shape[1:]
    first, second = mean.sort(0, descending=True).values[:2]
    clear = ((first - second) > 1e-4).numpy()
    assert clear.mean() > 0.99
    assert np.array_equal(mask[clear], mean.argmax(0).numpy()[clear])


@pytest.mark.parametrize("shape", [(96, 128), (70, 61), (200, 333), (1, 1)])
def test_one_view_is_the_likeliest_class_at_the_images_size(loaded, shape):
    network, card = loaded
    image = picture(shape)
    mask = Predictor(network, card)(image)
    assert mask.shape == shape
    if shape != (1, 1):
        assert len(np.unique(mask)) > 1
        agree(mask, probabilities(network, card, image, (96, 128)))


def test_views_are_averaged_as_probabilities(loaded):
    network, card = loaded
    image = picture((90, 120), 1)
    predictor = Predictor(network, card, flip=True, scales=(0.5, 1, 1.3))
    assert predictor.sizes == ((48, 64), (96, 128), (128, 168))  # 124.8 and 166.4 rounded up
    views = [
        probabilities(network, card, image, size, flipped)
        for size in predictor.sizes
        for flipped in (False, True)
    ]
    agree(predictor(image), torch.stack(views).mean(0))
    assert not np.array_equal(predictor(image), Predictor(network, card)(image))


def test_mirrored_images_give_mirrored_masks_when_both_are_looked_at(loaded):
    network, card = loaded
    predictor = Predictor(network, card, flip=True)
    image = picture((96, 128), 2)
    # Without padding nothing tells left from right; a tie may fall either way.
    same = predictor(image) == predictor(image[:, ::-1].copy())[:, ::-1]
    assert same.mean() > 0.999


def test_its_input_equals_the_nodes(loaded, small_weights):
    network, card = loaded
    segmenter = Segmenter(small_weights, device="cpu", precision="fp32", engine="torch")
    predictor = Predictor(network, card)
    for seed, shape in enumerate([(96, 128), (123, 77), (50, 300)]):
        image = picture(shape, seed)
        assert (predictor(image) == segmenter([image])[0].mask).mean() > 0.999
    sized = Segmenter(small_weights, "cpu", "fp32", "torch", input_size=(100, 90))
    image = picture((96, 128))
    other = Predictor(network, card, size=(100, 90))
    assert other.sizes == (sized.input_size,) == ((104, 96),)
    assert (other(image) == sized([image])[0].mask).mean() > 0.999


def test_the_network_is_left_as_it_is(loaded, small_weights):
    network, card = load(small_weights)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    predictor = Predictor(network, card)
    image = picture((96, 128))
    assert np.array_equal(predictor(image), Predictor(*loaded)(image))
    assert network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_mask_is_the_same_every_time(loaded):
    network, card = loaded
    image = picture((96, 128), 3)
    first, second = Predictor(network, card), Predictor(network, card)
    assert np.array_equal(first(image), first(image))
    assert np.array_equal(first(image), second(image))


def test_a_gpu_is_asked_for_whole_float32_the_same_way_every_time(loaded):
    predictor = Predictor(*loaded)
    seen = []
    cudnn = torch.backends.cudnn
    before = (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32)
    predictor.network.register_forward_hook(
        lambda *_: seen.append(
            (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32)
        )
    )
    predictor(picture((96, 128)))
    assert seen == [(True, False, True, False)]
    assert before == (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32)


@pytest.mark.parametrize("scales", [(), (0.0,), (1, -1), (5,), (float("nan"),)])
def test_scales_out_of_range_are_refused(loaded, scales):
    with pytest.raises(ArgumentError, match="above 0 and at most 4"):
        Predictor(*loaded, scales=scales)


def test_an_input_too_large_is_refused(loaded):
    network, card = loaded
    with pytest.raises(ArgumentError, match="at most 8192"):
        Predictor(network, replace(card, resolution=(4000, 4000)), scales=(3,))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_classes(loaded):
    network, card = loaded
    here = Predictor(network, card, flip=True, scales=(0.75, 1))
    there = Predictor(network, card, "cuda", flip=True, scales=(0.75, 1))
    image = picture((200, 333), 4)
    assert (here(image) == there(image)).mean() > 0.999
    assert np.array_equal(there(image), there(image))
