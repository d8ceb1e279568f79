"""A temperature in the card: the same masks on every path, and the confidence of logits / T."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bisenet_ros.checkpoints import load, read_card, save_with_card
from bisenet_ros.inference import OutputRequest, Result, Segmenter
from bisenet_ros.inference.cuda.pipeline import CudaPipeline
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.export import reader, writer
from bisenet_ros.label_map import LabelMap
from bisenet_ros.labels import LabelSet

WARM = 2.5
SIZE = (61, 83)
PAIR = LabelMap(LabelSet(("flat", "high"), ((9, 8, 7), (1, 2, 3))), groups=(1, 0, 1))
PATHS = ("torch", "onnxruntime", "openvino", "exported", "cuda")

Run = Callable[[OutputRequest], Result]


@pytest.fixture(scope="module")
def warm(small_weights, tmp_path_factory) -> Path:
    """The small network with a temperature."""
    path = tmp_path_factory.mktemp("warm") / "warm.safetensors"
    return save_with_card(small_weights, path, replace(read_card(small_weights), temperature=WARM))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    return cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)


def runner(path: str, weights: Path, picture: np.ndarray, folder: Path) -> Run:
    """The picture through one of the paths."""
    network, card = load(weights)
    if path == "cuda":
        plain = CudaPipeline(network, card, Compute(torch.device("cpu"), "fp32"), card.resolution)
        return lambda asked: plain([picture], ["rgb"], [asked])[0]
    engine = path
    if path == "exported":
        engine = "onnxruntime"
        for package in ("onnx", "onnxruntime"):
            pytest.importorskip(package)
        exported = folder / f"{weights.stem}.onnx"
        writer.write(exported, network, card, card.resolution)
        assert reader.read(exported).card == card
        weights = exported
    elif path != "torch":
        pytest.importorskip(path)
    segmenter = Segmenter(weights, "cpu", "fp32", engine)
    return lambda asked: segmenter([picture], "rgb", asked)[0]


def slow_probabilities(weights: Path, rgb: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of logits / T of each pixel, (n, H, W) float64, one obvious step after another."""
    network, card = load(weights)
    small = cv2.resize(rgb, card.resolution[::-1], interpolation=cv2.INTER_LINEAR)
    normal = (small / 255 - np.array(card.mean)) / np.array(card.std)
    with torch.no_grad():
        logits = network.double()(torch.from_numpy(normal.transpose(2, 0, 1).copy())[None])
        full = torch.nn.functional.interpolate(
            logits, rgb.shape[:2], mode="bilinear", align_corners=False
        )
    powers = np.exp((full[0].numpy() - full[0].numpy().max(0)) / temperature)
    return powers / powers.sum(0)


@pytest.mark.parametrize("path", PATHS)
def test_masks_stay_and_confidence_is_that_of_cooler_logits(
    path, small_weights, warm, picture, tmp_path
):
    plain = runner(path, small_weights, picture, tmp_path)
    calibrated = runner(path, warm, picture, tmp_path)
    both = OutputRequest(confidence=True, overlay=True)
    before, after = plain(both), calibrated(both)
    assert np.array_equal(before.mask, after.mask) and len(np.unique(after.mask)) == 3
    assert np.array_equal(before.overlay, after.overlay)
    shares = slow_probabilities(small_weights, picture, WARM)
    assert np.abs(after.confidence - 255 * shares.max(0)).max() < 0.51
    assert after.confidence.mean() < before.confidence.mean() - 5
    grouped = OutputRequest(confidence=True, label_map=PAIR)
    result = calibrated(grouped)
    assert np.array_equal(result.mask, plain(grouped).mask)
    own = PAIR.table()[:3, None, None] == result.mask
    assert np.abs(result.confidence - 255 * (shares * own).sum(0)).max() < 0.51


@pytest.mark.parametrize("path", ["torch", "cuda"])
def test_the_threshold_is_held_against_the_calibrated_confidence(
    path, small_weights, warm, picture, tmp_path
):
    calibrated = runner(path, warm, picture, tmp_path)
    mask = calibrated(OutputRequest()).mask
    sure = slow_probabilities(small_weights, picture, WARM).max(0)
    threshold = float(np.median(sure))
    clear = np.abs(sure - threshold) > 1e-4
    result = calibrated(OutputRequest(confidence=True, threshold=threshold))
    expected = np.where(sure < threshold, 255, mask)
    assert np.array_equal(result.mask[clear], expected[clear])
    assert 0.4 < (result.mask == 255).mean() < 0.6
