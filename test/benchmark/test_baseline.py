"""The baseline is correct, so that ratios to it are meaningful."""

import cv2
import numpy as np
import torch

from bisenet_ros.benchmark.baseline import UsualPipeline
from bisenet_ros.checkpoints import load
from bisenet_ros.inference import OutputRequest, Segmenter


def test_it_agrees_with_the_segmenter(small_weights):
    network, card = load(small_weights)
    palette = card.labels.palette()
    usual = UsualPipeline(network, card.mean, card.std, palette, card.resolution)
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    image = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
    mask, overlay, times = usual(image.tobytes(), 120, 160)
    segmenter = Segmenter(small_weights, device="cpu", precision="fp32")
    result = segmenter([image], "bgr", OutputRequest(overlay=True))[0]
    assert (mask != result.mask).mean() < 0.001
    same = mask == result.mask
    assert np.abs(overlay[same].astype(int) - result.overlay[same]).max() <= 1
    assert set(times) == {"decode", "preprocess", "forward", "postprocess"}
    assert all(milliseconds >= 0 for milliseconds in times.values())


def test_its_network_is_eager_float32(small_weights):
    network, card = load(small_weights)
    usual = UsualPipeline(network, card.mean, card.std, card.labels.palette(), card.resolution)
    kinds = {parameter.dtype for parameter in usual.network.parameters()}
    assert kinds == {torch.float32}
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in usual.network.modules())
