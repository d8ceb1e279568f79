"""One pass through a network, and the picture that it is tried with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bisenet_ros.checkpoints import load
from bisenet_ros.errors import WeightsError
from bisenet_ros.inference.reference import Predictor
from bisenet_ros.inference.trial import BLOCKS, synthetic_image, try_once


@pytest.mark.parametrize("size", [(96, 128), (100, 70), (8, 16)])
def test_the_synthetic_image_is_patches_of_colour_under_a_little_noise(size):
    image = synthetic_image(size)
    assert image.shape == (*size, 3) and image.dtype == np.uint8
    assert np.array_equal(image, synthetic_image(size))
    patches = np.random.default_rng(0).integers(0, 256, (*BLOCKS, 3))
    difference = np.empty(image.shape, int)
    for y in range(size[0]):
        for x in range(size[1]):
            patch = patches[int(y / size[0] * BLOCKS[0]), int(x / size[1] * BLOCKS[1])]
            difference[y, x] = image[y, x] - patch
    assert np.abs(difference).max() <= 20
    inside = (image > 0) & (image < 255)  # not clipped
    assert len(np.unique(difference[inside])) > 25 and abs(difference[inside].mean()) < 3


def test_the_noise_reaches_twenty_both_ways_and_never_wraps():
    image = synthetic_image((96, 128)).astype(int)
    patches = np.random.default_rng(0).integers(0, 256, (*BLOCKS, 3))
    assert (image.min(), image.max()) == (0, 255)  # clipped there
    difference = image - patches.repeat(12, 0).repeat(8, 1)
    assert (difference.min(), difference.max()) == (-20, 20)


def test_a_trial_tells_shapes_the_mask_and_the_shares_of_the_classes_it_holds(small_weights):
    network, card = load(small_weights)
    image = synthetic_image((50, 70))
    trial = try_once(network, card, image)
    assert trial.input_shape == (1, 3, 96, 128) and trial.logits_shape == (1, 3, 12, 16)
    assert np.array_equal(trial.mask, Predictor(network, card)(image))
    counts = {n: float((trial.mask == i).mean()) for i, n in enumerate(card.labels.names)}
    assert trial.shares == pytest.approx({name: share for name, share in counts.items() if share})
    assert not any(module._forward_hooks for module in network.modules())


def test_classes_without_pixels_are_left_out(small_weights):
    network, card = load(small_weights)
    last = network.head.conv_out[1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    assert try_once(network, card, synthetic_image((20, 30))).shares == {"wall": 1.0}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_an_error(small_weights, value):
    network, card = load(small_weights)
    with torch.no_grad():
        network.head.conv_out[1].bias[1] = value
    with pytest.raises(WeightsError) as caught:
        try_once(network, card, synthetic_image((20, 30)))
    assert str(caught.value) == (
        "the bisenetv2's logits hold NaN or infinity; expected finite numbers: its weights are "
        "damaged, or another source's"
    )
