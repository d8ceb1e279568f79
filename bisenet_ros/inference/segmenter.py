"""Camera pixels → class ids, confidence, overlay."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from bisenet_ros.checkpoints import load
from bisenet_ros.errors import ArgumentError, DataError, WeightsError
from bisenet_ros.inference.classify import classify
from bisenet_ros.inference.engine import TorchEngine
from bisenet_ros.inference.hardware import choose
from bisenet_ros.inference.overlay import blend
from bisenet_ros.labels import UNLABELLED
from bisenet_ros.paths import SHIPPED_WEIGHTS, share_file

ENGINES = {"torch": TorchEngine}
ORDERS = ("rgb", "bgr")


@dataclass(frozen=True)
class Wanted:
    """What to build beside the mask, and how.

    Attributes:
        confidence: build the confidence map.
        overlay: build the overlay.
        alpha: opacity of the palette in the overlay, 0–1.
        threshold: pixels whose class is less probable become 255, 0–1.
    """

    confidence: bool = False
    overlay: bool = False
    alpha: float = 0.5
    threshold: float = 0.0


@dataclass(frozen=True)
class Times:
    """Milliseconds that a batch spent in each stage."""

    preprocess: float
    forward: float
    postprocess: float


@dataclass(frozen=True)
class Result:
    """What one image became; all arrays have the image's own size.

    Attributes:
        mask: (H, W) uint8 class ids, 255 where the class is less probable than the threshold.
        confidence: (H, W) uint8, the winning class's probability · 255 rounded, or None.
        overlay: (H, W, 3) uint8 RGB, or None.
        times: of the batch the image was in.
    """

    mask: np.ndarray
    confidence: np.ndarray | None
    overlay: np.ndarray | None
    times: Times


class Segmenter:
    """A loaded model, called with images of any size.

    Args:
        weights: a weights file; None or empty for the one shipped with the package.
        device: ``cuda``, ``cuda:N``, ``cpu`` or ``auto``.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``auto``, the fastest exact one of the device.
        engine: what runs the network; ``auto`` or a key of ``ENGINES``.
        input_size: (height, width) in pixels the images are resized to for the network; None for
            the size the weights were trained at. Sides are rounded up to multiples of 8.

    Raises:
        WeightsError: the file is missing, broken or another's.
        ArgumentError: another argument is out of range, or this machine lacks what it asks for.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        engine: str = "auto",
        input_size: tuple[int, int] | None = None,
    ) -> None:
        if engine != "auto" and engine not in ENGINES:
            raise ArgumentError(f"engine is {engine!r}; expected auto, {', '.join(ENGINES)}")
        self.compute = choose(device, precision)
        self.weights = Path(weights) if weights else share_file(SHIPPED_WEIGHTS)
        network, self.card = load(self.weights)
        self.engine = ENGINES["torch" if engine == "auto" else engine](
            network, self.card.mean, self.card.std, self.compute
        )
        self.labels = self.card.labels
        self.palette = self.labels.palette()
        self.input_size = _round_up(input_size or self.card.resolution, self.engine.stride)

    def check(self, num_classes: int = 0, resolution: tuple[int, int] | None = None) -> None:
        """Raise :class:`WeightsError` if the weights are not what the caller counts on.

        Args:
            num_classes: the class count to insist on; 0 for any.
            resolution: the (height, width) of training to insist on; None for any.
        """
        if num_classes and num_classes != len(self.labels):
            raise WeightsError(
                f"{self.weights} has {len(self.labels)} classes, but num_classes is {num_classes}; "
                "leave num_classes at 0 or pass other weights"
            )
        if resolution and tuple(resolution) != self.card.resolution:
            height, width = self.card.resolution
            raise WeightsError(
                f"{self.weights} was trained at {width}×{height}, but the input size is "
                f"{resolution[1]}×{resolution[0]} (width×height); leave both at 0, pass other "
                "weights, or allow it with any_input_size"
            )

    def __call__(
        self,
        images: Sequence[np.ndarray],
        order: str | Sequence[str] = "rgb",
        wanted: Wanted | Sequence[Wanted] = Wanted(),
    ) -> list[Result]:
        """Segment a batch of images, of different sizes if need be.

        Args:
            images: (H, W, 3) uint8 each, H and W at least 1; any strides.
            order: ``rgb`` or ``bgr``, one for all or one an image.
            wanted: what to build, one for all or one an image.

        Returns:
            One result an image, in order.

        Raises:
            DataError: an array is not an image of that form.
        """
        if not len(images):
            return []
        orders = _one_each(order, len(images), str)
        wishes = _one_each(wanted, len(images), Wanted)
        started = time.perf_counter()
        batch = np.stack([self._fit(i, o) for i, o in zip(images, orders, strict=True)])
        prepared = time.perf_counter()
        logits = self.engine(torch.from_numpy(batch))
        if self.compute.device.type == "cuda":
            torch.cuda.synchronize(self.compute.device)
        forwarded = time.perf_counter()
        built = [
            self._build(image, kind, scores, wish)
            for image, kind, scores, wish in zip(images, orders, logits, wishes, strict=True)
        ]
        times = Times(
            preprocess=1e3 * (prepared - started),
            forward=1e3 * (forwarded - prepared),
            postprocess=1e3 * (time.perf_counter() - forwarded),
        )
        return [replace(result, times=times) for result in built]

    def warm_up(self, batch: int = 1) -> None:
        """Run once on grey images, so that the first frame does not pay for set-up."""
        height, width = self.input_size
        self([np.full((height, width, 3), 114, np.uint8)] * batch)

    def _fit(self, image: np.ndarray, order: str) -> np.ndarray:
        """The image at the network's size, (h, w, 3) uint8 RGB."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise DataError(
                f"an image is {image.dtype} {image.shape}; expected uint8 (height, width, 3)"
            )
        if order not in ORDERS:
            raise ArgumentError(f"channel order is {order!r}; expected {' or '.join(ORDERS)}")
        height, width = self.input_size
        # Resizing bytes moves a quarter of what resizing floats would.
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        return small if order == "rgb" else cv2.cvtColor(small, cv2.COLOR_BGR2RGB)

    def _build(self, image: np.ndarray, order: str, logits: torch.Tensor, wish: Wanted) -> Result:
        size = (image.shape[0], image.shape[1])
        probable = wish.confidence or wish.threshold > 0
        mask, probability = classify(logits, size, probability=probable)
        confidence = overlay = None
        if probability is not None:
            if wish.threshold > 0:
                mask[probability < wish.threshold] = UNLABELLED
            if wish.confidence:
                confidence = np.rint(probability * 255).astype(np.uint8)
        if wish.overlay:
            rgb = image if order == "rgb" else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            overlay = blend(rgb, mask, self.palette, wish.alpha)
        return Result(mask, confidence, overlay, Times(0, 0, 0))


def _round_up(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    if len(size) != 2 or not all(1 <= side <= 8192 for side in size):
        raise ArgumentError(f"input_size is {size}; expected (height, width), each 1 to 8192")
    return -(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple


def _one_each(value, count: int, kind: type) -> list:  # type: ignore[no-untyped-def]
    values = [value] * count if isinstance(value, kind) else list(value)
    if len(values) != count:
        raise ArgumentError(f"{len(values)} entries for {count} images; give one, or one an image")
    return values
