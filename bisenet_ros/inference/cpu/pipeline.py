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
from bisenet_ros.inference.cpu.tile_scores import Rule
from bisenet_ros.inference.engines.base import Engine
from bisenet_ros.inference.result import OutputRequest, Result, Times
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
        grouping, palette = request.label_map, self.palette
        rule = Rule(temperature=self.temperature, threshold=request.threshold)
        if grouping is not None:
            palette = grouping.labels.palette()
            rule = replace(rule, groups=grouping.table(), unlabelled=grouping.unlabelled)
        planes = logits
        if not logits.flags.c_contiguous:
            planes = self.buffers.scratch("planes", logits.shape, np.float32)
            np.copyto(planes, logits)
        mask = self.buffers.lend(shape, np.uint8)
        confidence = self.buffers.lend(shape, np.uint8) if request.confidence else None
        classify(planes, mask, confidence, self.buffers, rule)
        overlay = None
        if request.overlay:
            rgb = self._rgb(image, order, shape)
            overlay = blend(rgb, mask, palette, request.alpha, self.buffers)
        return Result(mask, confidence, overlay, NO_TIMES)

    def _rgb(self, image: np.ndarray, order: str, size: tuple[int, int]) -> np.ndarray:
        """The image in RGB, (*size, 3)."""
        if image.shape[:2] != size:
            small = self.buffers.scratch("small", (*size, 3), np.uint8)
            image = cv2.resize(image, size[::-1], dst=small, interpolation=cv2.INTER_LINEAR)
        if order == "rgb":
            return image
        rgb = self.buffers.scratch("rgb", image.shape, np.uint8)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=rgb)
