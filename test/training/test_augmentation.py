"""Views: image and label stay together, ids are never mixed, rare classes are found."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from bisenet_ros.training.augmentation import RandomView, paste, photometric


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.7])
def test_image_and_label_stay_together_and_ids_are_never_mixed(scale):
    random = np.random.default_rng(0)
    ids = (10, 60, 110, 160, 210)
    coarse = random.choice(np.array(ids, np.uint8), (6, 8))
    label = cv2.resize(coarse, (128, 96), interpolation=cv2.INTER_NEAREST)
    image = np.repeat(label[..., None], 3, 2)
    seen, found = RandomView((48, 64), (scale, scale))(image, label, random)
    assert seen.shape == (48, 64, 3) and found.shape == (48, 64)
    assert set(np.unique(found)) <= {*ids, 255}
    # Away from edges, where the image is interpolated, both must show the same thing.
    window = np.ones((7, 7), np.uint8)
    inside = cv2.erode(found, window) == cv2.dilate(found, window)
    inside[:3] = inside[-3:] = inside[:, :3] = inside[:, -3:] = False
    inside &= found != 255
    assert inside.any()
    assert np.array_equal(seen[..., 0][inside], found[inside])


def test_unzoomed_uncropped_unflipped_views_are_the_image():
    random = np.random.default_rng(1)
    image, label = random.integers(0, 255, (40, 50, 3), np.uint8), np.zeros((40, 50), np.uint8)
    seen, found = RandomView((40, 50), (1.0, 1.0), flip=0)(image, label, random)
    assert np.array_equal(seen, image) and np.array_equal(found, label)
    mirrored, _ = RandomView((40, 50), (1.0, 1.0), flip=1)(image, label, random)
    assert np.array_equal(mirrored, image[:, ::-1])


def test_outside_the_image_is_unlabelled():
    view = RandomView((60, 60), (0.5, 0.5), flip=0)
    image, label = np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40), np.uint8)
    _, found = view(image, label, np.random.default_rng(0))
    assert (found == 255).mean() == pytest.approx(1 - 400 / 3600, abs=0.03)


def test_rare_classes_are_looked_for():
    label = np.zeros((200, 200), np.uint8)
    label[150:154, 20:24] = 5
    image = np.zeros((200, 200, 3), np.uint8)
    random = np.random.default_rng(0)
    view = RandomView((40, 40), (1, 1), rare=(5,), rare_chance=1.0)
    assert all((view(image, label, random)[1] == 5).any() for _ in range(20))


def test_pasting_lays_the_donors_classes_over_the_pair():
    random = np.random.default_rng(2)
    pair = random.integers(0, 200, (9, 7, 3), np.uint8), np.zeros((9, 7), np.uint8)
    donor = random.integers(200, 255, (9, 7, 3), np.uint8), random.integers(1, 5, (9, 7), np.uint8)
    image, label = paste(pair, donor, (2, 3))
    taken = (donor[1] == 2) | (donor[1] == 3)
    assert taken.any() and not taken.all()
    assert np.array_equal(image[taken], donor[0][taken])
    assert np.array_equal(image[~taken], pair[0][~taken])
    assert np.array_equal(label, np.where(taken, donor[1], 0))


def test_colour_and_light_change_images_but_not_their_shape():
    torch.manual_seed(0)
    images = torch.rand(4, 3, 16, 24)
    changed = photometric(0.4, 0.05, light=1.0, blur=1.0, noise=1.0)(images)
    assert changed.shape == images.shape and torch.isfinite(changed).all()
    assert all((a - b).abs().mean() > 0.01 for a, b in zip(changed, images, strict=True))


def test_no_strength_leaves_images_as_they_are():
    images = torch.rand(2, 3, 8, 8)
    assert torch.allclose(photometric(0.0)(images), images, atol=1e-5)
