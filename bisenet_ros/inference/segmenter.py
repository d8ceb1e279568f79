"""Camera pixels → class ids, confidence, overlay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bisenet_ros.errors import ArgumentError, DataError, WeightsError
from bisenet_ros.inference.engines import selection
from bisenet_ros.inference.engines.base import RunnableModel
from bisenet_ros.inference.result import Result, Times, Wanted
from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file

ORDERS = ("rgb", "bgr")
MASK_ONLY = Wanted()


class Segmenter:
    """A loaded model, called with images of any size, by one thread at a time.

    Args:
        weights: a weights file, or a model that ``python -m bisenet_ros export`` wrote; None or
            empty for the weights shipped with the package.
        device: ``cuda``, ``cuda:N``, ``cpu`` or ``auto``.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``auto``, the fastest exact one of the device.
        engine: what runs the network; one of ``engines.ENGINES``, or ``auto``, the fastest
            exact one.
        input_size: (height, width) in pixels the images are resized to for the network; None for
            the size the weights were trained at. Sides are rounded up to multiples of 8.

    Attributes:
        engine: what runs the network: ``engine.name``, and ``engine.why`` it is this one.
        compute: device and precision in force.
        card, labels, palette: of the weights.
        input_size: (height, width) in force.

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
        selection.check(engine, device, precision)
        self.weights = Path(weights) if weights else share_file(SHIPPED_WEIGHTS)
        model = selection.read_model(self.weights)
        self.card = model.card
        self.labels = self.card.labels
        self.palette = self.labels.palette()
        self.input_size = self._fixed_size(model, input_size)
        self.engine = selection.start(model, engine, device, precision, self.input_size)
        self.compute = self.engine.compute

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
        wanted: Wanted | Sequence[Wanted] = MASK_ONLY,
    ) -> list[Result]:
        """Segment a batch of images, of different sizes if need be.

        Args:
            images: (H, W, 3) uint8 each, H and W at least 1; any strides.
            order: ``rgb`` or ``bgr``, one for all or one an image.
            wanted: what to build, one for all or one an image.

        Returns:
            One result an image, in order; see :class:`Result` for whose the arrays are.

        Raises:
            DataError: an array is not an image of that form.
        """
        if not len(images):
            return []
        orders = _one_each(order, len(images), str)
        wishes = _one_each(wanted, len(images), Wanted)
        for image, kind in zip(images, orders, strict=True):
            _check_image(image, kind)
        return self.engine.pipeline(images, orders, wishes)

    def warm_up(self, batch: int = 1) -> None:
        """Run on 1 to ``batch`` grey images, so that the first frames do not pay for set-up."""
        grey = np.full((*self.input_size, 3), 114, np.uint8)
        for count in range(1, batch + 1):
            self([grey] * count)

    def _fixed_size(self, model: RunnableModel, asked: tuple[int, int] | None) -> tuple[int, int]:
        """The (height, width) of the network's input; WeightsError if the model is for another."""
        if model.file is None:
            return _round_up(asked or self.card.resolution, model.stride)
        fixed = model.file.size
        if asked is not None and _round_up(asked, model.stride) != fixed:
            raise WeightsError(
                f"{self.weights} was exported for {fixed[1]}×{fixed[0]}, but the input size is "
                f"{asked[1]}×{asked[0]} (width×height); leave both at 0 or export it again"
            )
        return fixed


def _check_image(image: np.ndarray, order: str) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise DataError(
            f"an image is {image.dtype} {image.shape}; expected uint8 (height, width, 3)"
        )
    if order not in ORDERS:
        raise ArgumentError(f"channel order is {order!r}; expected {' or '.join(ORDERS)}")


def _round_up(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    if len(size) != 2 or not all(1 <= side <= 8192 for side in size):
        raise ArgumentError(f"input_size is {size}; expected (height, width), each 1 to 8192")
    return -(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple


def _one_each(value, count: int, kind: type) -> list:  # type: ignore[no-untyped-def]
    values = [value] * count if isinstance(value, kind) else list(value)
    if len(values) != count:
        raise ArgumentError(f"{len(values)} entries for {count} images; give one, or one an image")
    return values


__all__ = ["ORDERS", "Result", "Segmenter", "Times", "Wanted"]
