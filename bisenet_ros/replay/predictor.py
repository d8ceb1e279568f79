"""What scoring needs of a model, and the Segmenter as that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from bisenet_ros.inference.segmenter import OutputRequest, Segmenter
from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.frame_stream import RecordedFrame

STAGES = ("preprocess", "forward", "postprocess")


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model made of a frame.

    Attributes:
        mask: (H, W) uint8 ids, 255 no class.
        confidence: (H, W) uint8, probability of the mask's class · 255; None if unknown.
        overlay: (H, W, 3) uint8 RGB, if it was asked for.
        stage_ms: milliseconds the frame's batch spent in each of :data:`STAGES`.
    """

    mask: np.ndarray
    confidence: np.ndarray | None = None
    overlay: np.ndarray | None = None
    stage_ms: Mapping[str, float] = field(default_factory=dict)


class Predictor(Protocol):
    """A model that is called by one thread at a time."""

    @property
    def labels(self) -> LabelSet:
        """What the ids of its masks mean."""

    def __call__(
        self, images: Sequence[np.ndarray], orders: Sequence[str], overlay: bool = False
    ) -> list[Prediction]:
        """One prediction per image, in order.

        Args:
            images: (H, W, 3) uint8 each.
            orders: ``rgb`` or ``bgr``, one per image.
            overlay: whether to build the overlays.
        """


@runtime_checkable
class FramePredictor(Protocol):
    """A predictor that needs to know which frame an image is, such as recorded masks."""

    def of_frames(self, frames: Sequence[RecordedFrame]) -> list[Prediction]:
        """One prediction per frame, in order."""


class SegmenterPredictor:
    """The Segmenter that the node runs.

    Args:
        segmenter: the model.
        alpha: opacity of the colours in overlays, 0–1.
        threshold: pixels whose class is less probable become 255, 0–1.
    """

    def __init__(self, segmenter: Segmenter, alpha: float = 0.5, threshold: float = 0.0) -> None:
        self.segmenter = segmenter
        self.alpha = alpha
        self.threshold = threshold
        self._copies: list[SegmenterPredictor] = []

    @property
    def labels(self) -> LabelSet:
        """What the ids of its masks mean."""
        return self.segmenter.labels

    @property
    def can_be_copied(self) -> bool:
        """Whether copies of it are quickly made and run side by side."""
        return (
            self.segmenter.compute.device.type == "cpu" and self.segmenter.engine.name != "compile"
        )

    def warm_up(self) -> None:
        """Run on a black image, so that the first frame is not delayed."""
        self([np.zeros((*self.segmenter.input_size, 3), np.uint8)], ["rgb"], overlay=True)

    def copies(self, count: int) -> list[SegmenterPredictor]:
        """So many of the same model; made once, for as many threads as torch has then."""
        missing = count - len(self._copies)
        if missing > 0:
            made = [
                SegmenterPredictor(self.segmenter.again(), self.alpha, self.threshold)
                for _ in range(missing)
            ]
            # Side by side, as they will run: later threads reuse the memory of these.
            with ThreadPoolExecutor(missing) as pool:
                list(pool.map(SegmenterPredictor.warm_up, made))
            self._copies += made
        return self._copies[:count]

    def __call__(
        self, images: Sequence[np.ndarray], orders: Sequence[str], overlay: bool = False
    ) -> list[Prediction]:
        """One prediction per image, in order."""
        asked = OutputRequest(
            confidence=True, overlay=overlay, alpha=self.alpha, threshold=self.threshold
        )
        return [
            Prediction(
                mask=result.mask,
                confidence=result.confidence,
                overlay=result.overlay,
                stage_ms={stage: getattr(result.times, stage) for stage in STAGES},
            )
            for result in self.segmenter(images, orders, asked)
        ]


class FunctionPredictor:
    """Any function from an image to a mask, such as a reference or a stand-in.

    Args:
        labels: what the ids of its masks mean.
        function: (H, W, 3) uint8 and its order to a mask (H, W) uint8 and, or None, its
            confidence (H, W) uint8.
    """

    def __init__(
        self,
        labels: LabelSet,
        function: Callable[[np.ndarray, str], tuple[np.ndarray, np.ndarray | None]],
    ) -> None:
        self.labels = labels
        self.function = function

    def __call__(
        self, images: Sequence[np.ndarray], orders: Sequence[str], overlay: bool = False
    ) -> list[Prediction]:
        """One prediction per image, in order; without overlays."""
        found = (self.function(image, order) for image, order in zip(images, orders, strict=True))
        return [Prediction(mask, confidence) for mask, confidence in found]
