"""Fit the temperature of a model's confidence on labelled frames, and say what it changes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bisenet_ros.checkpoints import ModelCard
from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.cpu.classify import classify
from bisenet_ros.inference.cpu.tile_scores import Rule
from bisenet_ros.inference.reference import Predictor
from bisenet_ros.metrics.calibration import Calibration
from bisenet_ros.metrics.temperature import HOTTEST, Temperature, TemperatureFit
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.recordings.frame_stream import FrameSource, Selection, read_frames

DIGITS = 4  # after the point; more change no confidence byte
PASSES = 2  # over the frames: to fit, and to count what the fit changed


@dataclass(frozen=True)
class FittedTemperature:
    """A temperature, and the calibration without and with it.

    Attributes:
        fit: the temperature and the negative log-likelihoods.
        frames: how many labelled frames it was fitted on.
        error_before, error_after: expected calibration error at T = 1 and at T, 0–1, over all
            labelled pixels.
        labelled_pixels: how many those are.
    """

    fit: Temperature
    frames: int
    error_before: float
    error_after: float
    labelled_pixels: int

    def figures(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "temperature": self.fit.value,
            "expected_calibration_error_before": self.error_before,
            "expected_calibration_error_after": self.error_after,
            "negative_log_likelihood_before": self.fit.loss_before,
            "negative_log_likelihood_after": self.fit.loss_after,
            "labelled_frames": self.frames,
            "labelled_pixels": self.labelled_pixels,
            "fitted_pixels": self.fit.pixels,
        }


class _Model:
    """The plain network, its confidence as the CPU pipeline computes it."""

    def __init__(self, predictor: Predictor, num_classes: int) -> None:
        self.predictor = predictor
        self.num_classes = num_classes
        self._buffers = Buffers()

    def count(
        self, calibration: Calibration, logits: np.ndarray, truth: np.ndarray, temperature: float
    ) -> None:
        """Add a frame's pixels at a temperature."""
        mask = self._buffers.scratch("mask", truth.shape, np.uint8)
        confidence = self._buffers.scratch("confidence", truth.shape, np.uint8)
        classify(logits, mask, confidence, self._buffers, Rule(temperature=temperature))
        calibration.add(truth, mask, confidence)


def fit_temperature(
    source: FrameSource,
    network: SegmentationNetwork,
    card: ModelCard,
    selection: Selection | None = None,
    device: str = "cpu",
    size: tuple[int, int] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> FittedTemperature:
    """Fit T on the labelled frames of a recording or a data set, which is read twice.

    Args:
        source: of frames whose truth holds the network's own classes.
        network, card: as :func:`bisenet_ros.checkpoints.load` gives them.
        selection: which frames.
        device: the torch device the network runs on, in float32.
        size: (height, width) of the network's input; None for the card's.
        on_progress: called with the number of frames done, ``PASSES`` times as many as there are.

    Raises:
        ArgumentError: the source is live.
        DataError: there is no labelled pixel, or the labels leave no best temperature.
    """
    if source.live:
        raise ArgumentError(f"{source.name} is live; a temperature is fitted on a recording")
    model = _Model(Predictor(network, card, device, size), len(card.labels))
    fit, before, after = TemperatureFit(), *(Calibration(model.num_classes) for _ in range(2))
    done = frames = 0

    def labelled() -> Generator[tuple[np.ndarray, np.ndarray], None, None]:
        """Logits and truth of each labelled frame; all frames count as progress."""
        nonlocal done
        with closing(read_frames(source, selection)) as reading:
            for frame in reading:
                if frame.truth is not None:
                    yield model.predictor.logits(frame.rgb), frame.truth
                done += 1
                if on_progress is not None:
                    on_progress(done)

    for logits, truth in labelled():
        fit.add(logits, truth)
        model.count(before, logits, truth, 1.0)
        frames += 1
    found = fit.fit()
    if found.at_limit:
        raise DataError(
            f"{source.name}: no temperature from {1 / HOTTEST:g} to {HOTTEST:g} fits best: its "
            f"{found.pixels} labelled pixels are all right or mostly wrong; fit on more, or on "
            "others"
        )
    found = replace(found, value=round(found.value, DIGITS))
    for logits, truth in labelled():
        model.count(after, logits, truth, found.value)
    return FittedTemperature(
        fit=found,
        frames=frames,
        error_before=before.reliability().error,
        error_after=after.reliability().error,
        labelled_pixels=int(before.counts.sum()),
    )
