"""Camera pixels → class ids, confidence, overlay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.errors import ArgumentError, DataError, NonFiniteOutput, WeightsError
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.engines import selection
from bisenet_ros.inference.engines.base import RunnableModel
from bisenet_ros.inference.result import OutputRequest, Result, Times
from bisenet_ros.networks.layers import round_up_size
from bisenet_ros.projection.rotation import quarter_turns
from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file

ORDERS = ("rgb", "bgr")
MASK_ONLY = OutputRequest()


class Segmenter:
    """A loaded model; call it with images of any size, from one thread at a time.

    Args:
        weights: a weights file, or a model that ``python -m bisenet_ros export`` wrote; None or
            empty for the weights shipped with the package.
        device: ``cuda``, ``cuda:N``, ``cpu`` or ``auto``.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``auto``, the fastest exact one on the device.
        engine: the inference engine; one of ``engines.ENGINES``, or ``auto`` for the fastest
            exact one.
        input_size: (height, width) in pixels the images are resized to for the network; None for
            the size the weights were trained at. Sides are rounded up to multiples of the
            network's ``input_step``, which mostly is its stride.

    Attributes:
        engine: the running engine: ``engine.name``, and ``engine.why`` it was selected.
        card, labels, palette: of the weights.
        input_size: (height, width) in use.

    Raises:
        WeightsError: the file is missing, broken or not one of this package.
        ArgumentError: another argument is out of range, or asks for something this machine lacks.
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
        self.input_size = self._resolve_size(model, input_size)
        self.engine = selection.start(model, engine, device, precision, self.input_size)
        self._asked = (device, precision, engine)

    def again(self) -> Segmenter:
        """Another one of the same, which another thread may call at the same time."""
        return Segmenter(self.weights, *self._asked, self.input_size)

    @property
    def compute(self) -> Compute:
        """Device and precision in use; its ``fallback`` says what is slower than it could be."""
        return self.engine.compute

    def check(self, num_classes: int = 0, resolution: tuple[int, int] | None = None) -> None:
        """Raise :class:`WeightsError` if the weights are not what the caller expects.

        Args:
            num_classes: the expected class count; 0 for any.
            resolution: the expected (height, width) of training; None for any.
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
        request: OutputRequest | Sequence[OutputRequest] = MASK_ONLY,
    ) -> list[Result]:
        """Segment a batch of images, which may differ in size.

        Args:
            images: (H, W, 3) uint8 each, H and W at least 1; any strides.
            order: ``rgb`` or ``bgr``, one for all or one per image.
            request: the outputs to compute, one for all or one per image.

        Returns:
            One result per image, in order; see :class:`Result` for who owns the arrays.

        Raises:
            DataError: an array does not have this shape and dtype.
            ArgumentError: a request's scale, rotation or label map does not fit.
        """
        if not len(images):
            return []
        return self.engine.pipeline(images, *self._checked(images, order, request))

    @property
    def overlaps(self) -> bool:
        """Whether :meth:`submit` returns before the batch is done: with our pipeline on a GPU."""
        return hasattr(self.engine.pipeline, "submit") and self.compute.device.type == "cuda"

    def submit(
        self,
        images: Sequence[np.ndarray],
        order: str | Sequence[str] = "rgb",
        request: OutputRequest | Sequence[OutputRequest] = MASK_ONLY,
    ) -> Any:
        """Start a batch of at least one image, as by a call; two may be under way at once.

        Only where :attr:`overlaps` is true. The images may be changed after it has returned.

        Returns:
            A ticket for :meth:`collect`; tickets are collected in the order they were given out.
        """
        pipeline: Any = self.engine.pipeline
        return pipeline.submit(images, *self._checked(images, order, request))

    def collect(self, ticket: Any) -> list[Result]:
        """Wait for a batch; one result per image, in order."""
        pipeline: Any = self.engine.pipeline
        results: list[Result] = pipeline.collect(ticket)
        return results

    def _checked(
        self,
        images: Sequence[np.ndarray],
        order: str | Sequence[str],
        request: OutputRequest | Sequence[OutputRequest],
    ) -> tuple[list[str], list[OutputRequest]]:
        """Channel order and request of each image, everything checked."""
        orders = _per_image(order, len(images), str)
        requests = _per_image(request, len(images), OutputRequest)
        for image, image_order, asked in zip(images, orders, requests, strict=True):
            _check_image(image, image_order)
            self._check_request(asked)
        return orders, requests

    def warm_up(self, batch: int = 1) -> None:
        """Run on 1 to ``batch`` images, so that the first real frames are not delayed.

        Raises:
            NonFiniteOutput: the network computes NaN or infinity for grey, black, white or noise.
        """
        size = (*self.input_size, 3)
        grey = np.full(size, 114, np.uint8)
        noise = np.random.default_rng(0).integers(0, 256, size, np.uint8)
        try:
            for image in (np.zeros(size, np.uint8), np.full(size, 255, np.uint8), noise):
                self([image])
            for count in range(1, batch + 1):
                self([grey] * count)
        except NonFiniteOutput as error:
            raise NonFiniteOutput(f"{self.weights}: {error}") from error

    def _check_request(self, request: OutputRequest) -> None:
        quarter_turns(request.rotation)
        if not 0 < request.scale <= 1:
            raise ArgumentError(f"scale is {request.scale}; expected more than 0 and at most 1")
        grouping = request.label_map
        if grouping is not None and len(grouping.groups) != len(self.labels):
            raise ArgumentError(
                f"the label map groups {len(grouping.groups)} classes, the network has "
                f"{len(self.labels)}; read it again for this network"
            )

    def _resolve_size(
        self, model: RunnableModel, requested: tuple[int, int] | None
    ) -> tuple[int, int]:
        """The input size (height, width); WeightsError if an exported model has another one."""
        if model.network is not None:
            size = _input_size(requested or self.card.resolution, model.input_step)
            try:
                model.network.logits_size(size)
            except ValueError as error:
                raise ArgumentError(
                    f"input size {size[1]}×{size[0]} (width×height) is too small for "
                    f"{self.weights}: {error}"
                ) from error
            return size
        assert model.file is not None
        fixed = model.file.size
        if requested is not None and _input_size(requested, model.input_step) != fixed:
            raise WeightsError(
                f"{self.weights} was exported for {fixed[1]}×{fixed[0]}, but the input size is "
                f"{requested[1]}×{requested[0]} (width×height); leave both at 0 or export it again"
            )
        return fixed


def _check_image(image: np.ndarray, order: str) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise DataError(f"image is {image.dtype} {image.shape}; expected uint8 (height, width, 3)")
    if order not in ORDERS:
        raise ArgumentError(f"channel order is {order!r}; expected {' or '.join(ORDERS)}")


def _input_size(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    if len(size) != 2 or not all(1 <= side <= 8192 for side in size):
        raise ArgumentError(f"input_size is {size}; expected (height, width), each 1 to 8192")
    return round_up_size(size, multiple)


def _per_image(value, count: int, kind: type) -> list:  # type: ignore[no-untyped-def]
    values = [value] * count if isinstance(value, kind) else list(value)
    if len(values) != count:
        raise ArgumentError(f"{len(values)} values for {count} images; pass one, or one per image")
    return values


__all__ = ["ORDERS", "Result", "Segmenter", "Times", "OutputRequest"]
