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
from bisenet_ros.projection.rotation import quarter_turns

# What turns an image clockwise by one, two and three quarters.
TURNS = (None, cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE)
NO_TIMES = Times(0, 0, 0)


class CpuPipeline:
    """Camera images in, results out; in the steady state only the network allocates.

    Args:
        engine: runs the network, on any device.
        palette: (256, 3) uint8 RGB.
        input_size: (height, width) of the engine's input.
        temperature: of the softmax that gives the confidence.
    """

    def __init__(
        self,
        engine: Engine,
        palette: np.ndarray,
        input_size: tuple[int, int],
        temperature: float = 1.0,
    ) -> None:
        self.engine, self.palette, self.input_size = engine, palette, input_size
        self.temperature = temperature
        self.buffers = Buffers()

    def __call__(
        self, images: Sequence[np.ndarray], orders: Sequence[str], requests: Sequence[OutputRequest]
    ) -> list[Result]:
        """One result per image; images (H, W, 3) uint8 in the channel order ``rgb`` or ``bgr``."""
        started = time.perf_counter()
        turns = [quarter_turns(request.rotation) for request in requests]
        batch = self.engine.prepare(torch.from_numpy(self._resize(images, orders, turns)))
        prepared = time.perf_counter()
        logits = self.engine.forward(batch, self.input_size).numpy()
        forwarded = time.perf_counter()
        if not np.isfinite(logits).all():
            raise NonFiniteOutput(
                "the network computes NaN or infinity; use other weights or precision fp32"
            )
        results = [
            # Turned back where they are small.
            self._postprocess(image, order, np.rot90(scores, turn, (1, 2)), request)
            for image, order, scores, turn, request in zip(
                images, orders, logits, turns, requests, strict=True
            )
        ]
        times = Times(
            preprocess=1e3 * (prepared - started),
            forward=1e3 * (forwarded - prepared),
            postprocess=1e3 * (time.perf_counter() - forwarded),
        )
        return [replace(result, times=times) for result in results]

    def _resize(
        self, images: Sequence[np.ndarray], orders: Sequence[str], turns: Sequence[int]
    ) -> np.ndarray:
        """The images upright at the input size, (N, h, w, 3) uint8 RGB."""
        height, width = self.input_size
        batch = self.buffers.scratch("batch", (len(images), height, width, 3), np.uint8)
        for image, order, turn, place in zip(images, orders, turns, batch, strict=True):
            lying = place
            if turn:
                shape = (width, height, 3) if turn % 2 else place.shape
                lying = self.buffers.scratch("lying", shape, np.uint8)
            # Resizing bytes moves a quarter of the data that resizing floats would.
            size = lying.shape[1], lying.shape[0]
            cv2.resize(image, size, dst=lying, interpolation=cv2.INTER_LINEAR)
            if (code := TURNS[turn]) is not None:
                cv2.rotate(lying, code, dst=place)
            if order == "bgr":
                cv2.cvtColor(place, cv2.COLOR_BGR2RGB, dst=place)
        return batch

    def _postprocess(
        self, image: np.ndarray, order: str, logits: np.ndarray, request: OutputRequest
    ) -> Result:
        shape = request.output_size(*image.shape[:2])
        grouping, palette, groups = request.label_map, self.palette, None
        if grouping is not None:
            palette, groups = grouping.labels.palette(), grouping.table()
        probable = request.confidence or request.threshold > 0
        mask = self.buffers.lend(shape, np.uint8)
        planes = logits
        if not logits.flags.c_contiguous:
            planes = self.buffers.scratch("planes", logits.shape, np.float32)
            np.copyto(planes, logits)
        probability = classify(planes, mask, self.buffers, probable, groups, self.temperature)
        confidence = overlay = None
        if probability is not None:
            unlabelled = UNLABELLED if grouping is None else grouping.unlabelled
            self._drop_unlikely(mask, probability, request.threshold, unlabelled)
            if request.confidence:
                confidence = self._as_bytes(probability)
        if request.overlay:
            rgb = self._rgb(image, order, shape)
            overlay = blend(rgb, mask, palette, request.alpha, self.buffers)
        return Result(mask, confidence, overlay, NO_TIMES)

    def _drop_unlikely(
        self, mask: np.ndarray, probability: np.ndarray, threshold: float, unlabelled: int
    ) -> None:
        """Pixels below the threshold become ``unlabelled``; what has no label is sure of nothing.

        Args:
            mask: (H, W) uint8; changed.
            probability: (H, W) float32, 0–1; changed.
            threshold: 0–1.
            unlabelled: id of pixels below it.
        """
        chosen = self.buffers.scratch("chosen", mask.shape, np.bool_)
        if threshold > 0:
            np.less(probability, threshold, out=chosen)
            np.copyto(mask, unlabelled, where=chosen)
            np.copyto(probability, 0, where=chosen)
        np.equal(mask, UNLABELLED, out=chosen)
        np.copyto(probability, 0, where=chosen)

    def _as_bytes(self, probability: np.ndarray) -> np.ndarray:
        """(H, W) float32, 0–1, as uint8, 0–255, rounded; ``probability`` is overwritten."""
        np.multiply(probability, 255, out=probability)
        np.rint(probability, out=probability)
        confidence = self.buffers.lend(probability.shape, np.uint8)
        np.copyto(confidence, probability, casting="unsafe")
        return confidence

    def _rgb(self, image: np.ndarray, order: str, size: tuple[int, int]) -> np.ndarray:
        """The image in RGB, (*size, 3)."""
        if image.shape[:2] != size:
            small = self.buffers.scratch("small", (*size, 3), np.uint8)
            image = cv2.resize(image, size[::-1], dst=small, interpolation=cv2.INTER_LINEAR)
        if order == "rgb":
            return image
        rgb = self.buffers.scratch("rgb", image.shape, np.uint8)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=rgb)
