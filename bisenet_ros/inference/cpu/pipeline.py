"""The CPU pipeline of a batch: resize, run the engine, classify, blend."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch

from bisenet_ros.errors import NonFiniteOutput
from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.cpu.classify import classify
from bisenet_ros.inference.cpu.overlay import blend
from bisenet_ros.inference.engines.base import Engine
from bisenet_ros.inference.result import OutputRequest, Result, Times
from bisenet_ros.labels import UNLABELLED

NO_TIMES = Times(0, 0, 0)


class CpuPipeline:
    """Camera images in, results out; in the steady state only the network allocates.

    Args:
        engine: runs the network, on any device.
        palette: (256, 3) uint8 RGB.
        input_size: (height, width) of the engine's input.
    """

    def __init__(self, engine: Engine, palette: np.ndarray, input_size: tuple[int, int]) -> None:
        self.engine, self.palette, self.input_size = engine, palette, input_size
        self.buffers = Buffers()

    def __call__(
        self, images: Sequence[np.ndarray], orders: Sequence[str], requests: Sequence[OutputRequest]
    ) -> list[Result]:
        """One result per image; images (H, W, 3) uint8 in the channel order ``rgb`` or ``bgr``."""
        started = time.perf_counter()
        batch = self.engine.prepare(torch.from_numpy(self._resize(images, orders)))
        prepared = time.perf_counter()
        logits = self.engine.forward(batch, self.input_size).numpy()
        forwarded = time.perf_counter()
        if not np.isfinite(logits).all():
            raise NonFiniteOutput(
                "the network computes NaN or infinity; use other weights or precision fp32"
            )
        results = [
            self._postprocess(image, order, scores, request)
            for image, order, scores, request in zip(images, orders, logits, requests, strict=True)
        ]
        times = Times(
            preprocess=1e3 * (prepared - started),
            forward=1e3 * (forwarded - prepared),
            postprocess=1e3 * (time.perf_counter() - forwarded),
        )
        return [replace(result, times=times) for result in results]

    def _resize(self, images: Sequence[np.ndarray], orders: Sequence[str]) -> np.ndarray:
        """The images at the input size, (N, h, w, 3) uint8 RGB."""
        height, width = self.input_size
        batch = self.buffers.scratch("batch", (len(images), height, width, 3), np.uint8)
        for image, order, place in zip(images, orders, batch, strict=True):
            # Resizing bytes moves a quarter of the data that resizing floats would.
            cv2.resize(image, (width, height), dst=place, interpolation=cv2.INTER_LINEAR)
            if order == "bgr":
                cv2.cvtColor(place, cv2.COLOR_BGR2RGB, dst=place)
        return batch

    def _postprocess(
        self, image: np.ndarray, order: str, logits: np.ndarray, request: OutputRequest
    ) -> Result:
        shape = image.shape[:2]
        probable = request.confidence or request.threshold > 0
        mask = self.buffers.lend(shape, np.uint8)
        probability = classify(logits, mask, self.buffers, probability=probable)
        confidence = overlay = None
        if probability is not None:
            if request.threshold > 0:
                unlikely = self.buffers.scratch("unlikely", shape, np.bool_)
                np.less(probability, request.threshold, out=unlikely)
                np.copyto(mask, UNLABELLED, where=unlikely)
            if request.confidence:
                confidence = self._as_bytes(probability)
        if request.overlay:
            overlay = blend(
                self._rgb(image, order), mask, self.palette, request.alpha, self.buffers
            )
        return Result(mask, confidence, overlay, NO_TIMES)

    def _as_bytes(self, probability: np.ndarray) -> np.ndarray:
        """(H, W) float32, 0–1, as uint8, 0–255, rounded; ``probability`` is overwritten."""
        np.multiply(probability, 255, out=probability)
        np.rint(probability, out=probability)
        confidence = self.buffers.lend(probability.shape, np.uint8)
        np.copyto(confidence, probability, casting="unsafe")
        return confidence

    def _rgb(self, image: np.ndarray, order: str) -> np.ndarray:
        if order == "rgb":
            return image
        rgb = self.buffers.scratch("rgb", image.shape, np.uint8)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=rgb)
