"""Scaled outputs, rotated cameras and label maps against slow versions, on CPU and CUDA path."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from bisenet_ros.checkpoints import load
from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference import OutputRequest, Result, Segmenter
from bisenet_ros.inference.cuda.pipeline import CudaPipeline
from bisenet_ros.inference.device import Compute
from bisenet_ros.label_map import LabelMap
from bisenet_ros.labels import LabelSet
from bisenet_ros.projection.rotation import rotate, undo

Run = Callable[[np.ndarray, str, OutputRequest], Result]
PAIR = LabelMap(LabelSet(("flat", "high"), ((9, 8, 7), (1, 2, 3))), groups=(1, 0, 1))
ONE_OUT = LabelMap(PAIR.labels, groups=(0, 255, 1))
REST = LabelMap(PAIR.labels, groups=(0, 0, 1), unlabelled=0)


@pytest.fixture(scope="module", params=["cpu", "cuda"])
def run(request: pytest.FixtureRequest, small_weights) -> Run:
    """One image through the CPU pipeline, or through the CUDA pipeline run on the CPU."""
    if request.param == "cpu":
        pipeline = Segmenter(small_weights, device="cpu", precision="fp32", engine="torch")
        return lambda image, order, asked: pipeline([image], order, asked)[0]
    network, card = load(small_weights)
    plain = CudaPipeline(network, card, Compute(torch.device("cpu"), "fp32"), card.resolution)
    return lambda image, order, asked: plain([image], [order], [asked])[0]


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (max(1, height // 16), max(1, width // 16), 3), np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + random.integers(-10, 11, smooth.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def slow(small_weights) -> Callable[..., np.ndarray]:
    """Logits (n, h, w) float64 of each output pixel, one obvious step after another."""
    network, card = load(small_weights)
    network = network.double()

    def scores(rgb: np.ndarray, size: tuple[int, int], rotation: int = 0) -> np.ndarray:
        height, width = card.resolution
        lying = (width, height) if rotation % 180 else (height, width)
        small = cv2.resize(rgb, lying[::-1], interpolation=cv2.INTER_LINEAR)
        normal = (rotate(small, rotation) / 255 - np.array(card.mean)) / np.array(card.std)
        with torch.no_grad():
            logits = network(torch.from_numpy(normal.transpose(2, 0, 1).copy())[None])[0]
            turned = np.stack([undo(plane, rotation) for plane in logits.numpy()])
            full = torch.nn.functional.interpolate(
                torch.from_numpy(turned)[None], size, mode="bilinear", align_corners=False
            )
        return full[0].numpy()

    return scores


def check_classes(mask: np.ndarray, scores: np.ndarray) -> None:
    """Every pixel's class is the best one; where classes tie, one of them."""
    assert mask.shape == scores.shape[1:] and mask.dtype == np.uint8
    chosen = np.take_along_axis(scores, mask[None].astype(int), 0)[0]
    assert (scores.max(0) - chosen).max() < 1e-4


def probabilities(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(0))
    return powers / powers.sum(0)


@pytest.mark.parametrize("scale", [0.5, 0.25, 0.125])
@pytest.mark.parametrize("size", [(96, 128), (90, 121), (1, 9)])
def test_the_class_is_decided_at_the_scaled_size(run, slow, size, scale):
    rgb = picture(*size)
    asked = OutputRequest(confidence=True, overlay=True, alpha=0.25, scale=scale)
    result = run(rgb, "rgb", asked)
    wanted = tuple(max(1, round(side * scale)) for side in size)
    scores = slow(rgb, wanted)
    check_classes(result.mask, scores)
    assert np.abs(result.confidence - 255 * probabilities(scores).max(0)).max() < 0.51
    small = cv2.resize(rgb, wanted[::-1], interpolation=cv2.INTER_LINEAR)
    colours = ((10, 20, 30), (200, 0, 0), (0, 0, 250))
    blended = small * 0.75 + np.array(colours)[result.mask] * 0.25
    assert np.abs(result.overlay - blended).max() <= 0.51
    turned = run(np.ascontiguousarray(rgb[..., ::-1]), "bgr", asked)
    assert np.array_equal(turned.mask, result.mask)
    assert np.array_equal(turned.overlay, result.overlay)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize(("size", "scale"), [((96, 128), 1.0), ((61, 83), 1.0), ((61, 83), 0.5)])
def test_a_rotated_camera_gets_its_outputs_as_it_sees(run, slow, size, scale, rotation):
    rgb = picture(*size, seed=rotation)
    asked = OutputRequest(confidence=True, overlay=True, rotation=rotation, scale=scale)
    result = run(rgb, "rgb", asked)
    wanted = tuple(round(side * scale) for side in size)
    scores = slow(rgb, wanted, rotation)
    check_classes(result.mask, scores)
    assert np.abs(result.confidence - 255 * probabilities(scores).max(0)).max() < 0.51
    small = cv2.resize(rgb, wanted[::-1], interpolation=cv2.INTER_LINEAR)
    colours = np.array(((10, 20, 30), (200, 0, 0), (0, 0, 250)))[result.mask]
    assert np.abs(result.overlay - (small * 0.5 + colours * 0.5)).max() <= 0.51


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_turning_an_image_turns_its_mask_pixel_by_pixel(run, rotation):
    """At the network's own size nothing is resampled, so that only ties may differ."""
    upright = picture(96, 128, seed=5)
    camera = np.ascontiguousarray(undo(upright, rotation))
    asked = OutputRequest(confidence=True, overlay=True, rotation=rotation)
    straight = run(upright, "rgb", OutputRequest(confidence=True, overlay=True))
    result = run(camera, "rgb", asked)
    for ours, theirs in (
        (result.mask, straight.mask),
        (result.confidence, straight.confidence),
        (result.overlay, straight.overlay),
    ):
        differs = rotate(ours, rotation).astype(int) != theirs
        assert ours.shape[:2] == camera.shape[:2] and differs.mean() < 1e-3


@pytest.mark.parametrize("grouping", [PAIR, ONE_OUT, REST])
@pytest.mark.parametrize("threshold", [0.0, 0.6])
def test_a_label_map_groups_classes_and_their_probabilities(run, slow, grouping, threshold):
    rgb = picture(70, 90, seed=3)
    scores = slow(rgb, (70, 90))
    groups = grouping.table()[scores.argmax(0)]
    clear = np.sort(scores, 0)[-1] - np.sort(scores, 0)[-2] > 1e-4
    own = grouping.table()[:3, None, None] == groups
    summed = np.where(groups == 255, 0, (probabilities(scores) * own).sum(0))
    expected = np.where(summed < threshold, grouping.unlabelled, groups)
    sure = np.where((summed < threshold) | (groups == 255), 0, summed)
    clear &= np.abs(summed - threshold) > 1e-4
    asked = OutputRequest(
        confidence=True, overlay=True, threshold=threshold, label_map=grouping, alpha=1.0
    )
    result = run(rgb, "rgb", asked)
    assert clear.mean() > 0.95
    assert np.array_equal(result.mask[clear], expected[clear])
    assert np.abs(result.confidence - 255 * sure)[clear].max() < 0.51
    assert not result.confidence[result.mask == 255].any()
    shown = np.where((result.mask == 255)[..., None], rgb, grouping.labels.palette()[result.mask])
    assert np.array_equal(result.overlay, shown)
    # Without the confidence, and after another map, the same.
    run(rgb, "rgb", OutputRequest(label_map=PAIR))
    again = run(rgb, "rgb", OutputRequest(threshold=threshold, label_map=grouping))
    assert again.confidence is None and np.array_equal(again.mask, result.mask)


def test_unlabelled_pixels_are_sure_of_nothing(run):
    rgb = picture(70, 90)
    plain = run(rgb, "rgb", OutputRequest(confidence=True))
    threshold = float(np.median(plain.confidence)) / 255
    result = run(rgb, "rgb", OutputRequest(confidence=True, threshold=threshold))
    unlabelled = result.mask == 255
    assert 0 < unlabelled.mean() < 1 and plain.confidence[unlabelled].any()
    assert np.array_equal(result.confidence, np.where(unlabelled, 0, plain.confidence))


def test_frames_of_a_batch_may_ask_for_different_things(small_weights):
    segmenter = Segmenter(small_weights, device="cpu", precision="fp32", engine="torch")
    images = [picture(40, 60, 1), picture(60, 40, 2), picture(40, 60, 3)]
    asked = [
        OutputRequest(scale=0.5),
        OutputRequest(rotation=90, confidence=True),
        OutputRequest(label_map=PAIR, rotation=180),
    ]
    for image, request, together in zip(
        images, asked, segmenter(images, "rgb", asked), strict=True
    ):
        alone = segmenter([image], "rgb", request)[0]
        assert together.mask.shape == request.output_size(*image.shape[:2])
        assert (together.mask != alone.mask).mean() < 0.01  # batched sums round differently


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (OutputRequest(rotation=45), "rotation is 45"),
        (OutputRequest(scale=0.0), "scale is 0"),
        (OutputRequest(scale=1.5), "scale is 1.5"),
        (OutputRequest(label_map=LabelMap(PAIR.labels, (0, 1))), "groups 2 classes.* has 3"),
    ],
)
def test_requests_that_do_not_fit_are_refused(small_weights, request_, said):
    segmenter = Segmenter(small_weights, device="cpu", precision="fp32", engine="torch")
    with pytest.raises(ArgumentError, match=said):
        segmenter([picture(8, 8)], "rgb", request_)
