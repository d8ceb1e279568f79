"""A temperature fitted on labelled frames, against all pixels at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from drives import scene

from bisenet_ros.checkpoints import load
from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.inference.image_encodings import Pixels
from bisenet_ros.inference.reference import Predictor
from bisenet_ros.recordings.frame_stream import EncodedFrame, ReadingNotes, Selection
from bisenet_ros.replay.temperature import fit_temperature

FRAMES = 4


class Scenes:
    """Small drawn frames whose labels are the network's masks with noise; the last has none."""

    name, kind, timed, live = "scenes", "images", True, False
    seconds, expected = None, FRAMES

    def __init__(self, truths: list[np.ndarray]) -> None:
        self.truths = truths
        self.notes = ReadingNotes()

    def encoded(self) -> Iterator[EncodedFrame]:
        for index in range(FRAMES):
            image = scene(index)[0]
            truth = self.truths[index] if index < FRAMES - 1 else None
            yield EncodedFrame(
                index,
                index * 10**9,
                lambda image=image: Pixels(image, "bgr"),
                None if truth is None else lambda _shape, truth=truth: truth,
            )

    def facts(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def seen(small_weights) -> list[np.ndarray]:
    """Logits (n, H, W) of the labelled frames."""
    predictor = Predictor(*load(small_weights))
    return [predictor.logits(scene(i)[0][..., ::-1].copy()) for i in range(FRAMES - 1)]


@pytest.fixture(scope="module")
def truths(seen) -> list[np.ndarray]:
    """Right in 7 of 10 pixels, whatever the network says of its confidence."""
    random = np.random.default_rng(0)
    found = []
    for logits in seen:
        truth = logits.argmax(0).astype(np.uint8)
        off = random.random(truth.shape) < 0.3
        truth[off] = random.integers(0, 3, off.sum())
        truth[:4] = 255
        found.append(truth)
    return found


def slow_error(seen: list[np.ndarray], truths: list[np.ndarray], temperature: float) -> float:
    """The expected calibration error from a list of all pixels."""
    sure, right = [], []
    for logits, truth in zip(seen, truths, strict=True):
        powers = np.exp((logits.astype(np.float64) - logits.max(0)) / temperature)
        known = truth != 255
        sure.append(np.rint(255 * powers.max(0) / powers.sum(0))[known] / 255)
        right.append((logits.argmax(0) == truth)[known])
    confidence, hit = np.concatenate(sure), np.concatenate(right)
    edges = np.linspace(0, 1, 16)
    error = 0.0
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            error += inside.mean() * abs(hit[inside].mean() - confidence[inside].mean())
    return error


def slow_loss(seen: list[np.ndarray], truths: list[np.ndarray], temperature: float) -> float:
    """The mean negative log-likelihood of all labelled pixels."""
    losses = []
    for logits, truth in zip(seen, truths, strict=True):
        z = logits.astype(np.float64) / temperature
        z = z - z.max(0) - np.log(np.exp(z - z.max(0)).sum(0))
        own = np.take_along_axis(z, np.minimum(truth, 2)[None].astype(int), 0)[0]
        losses.append(-own[truth != 255])
    return float(np.concatenate(losses).mean())


def test_the_fit_is_the_best_of_all_pixels(small_weights, seen, truths):
    network, card = load(small_weights)
    done: list[int] = []
    found = fit_temperature(Scenes(truths), network, card, on_progress=done.append)
    assert done == list(range(1, 2 * FRAMES + 1)) and found.frames == FRAMES - 1
    assert found.labelled_pixels == sum(int((truth != 255).sum()) for truth in truths)
    best = found.fit.value
    for near in (best / 1.05, best * 1.05):  # of a sample, so not to the last digit
        assert slow_loss(seen, truths, best) < slow_loss(seen, truths, near)
    assert found.fit.loss_after < found.fit.loss_before
    for temperature, error in ((1.0, found.error_before), (best, found.error_after)):
        assert error == pytest.approx(slow_error(seen, truths, temperature), abs=2e-3)
    assert found.error_after < found.error_before
    figures = found.figures()
    assert figures["temperature"] == best and figures["labelled_frames"] == FRAMES - 1
    # What the card already holds does not matter.
    warm = fit_temperature(Scenes(truths), network, replace(card, temperature=3.0))
    assert warm == found


def test_frames_can_be_chosen(small_weights, truths):
    found = fit_temperature(Scenes(truths), *load(small_weights), Selection(limit=1))
    assert found.frames == 1


def test_what_cannot_be_fitted(small_weights, seen, truths):
    network, card = load(small_weights)
    right = [logits.argmax(0).astype(np.uint8) for logits in seen]
    with pytest.raises(DataError, match="no temperature from 0.05 to 20"):
        fit_temperature(Scenes(right), network, card)
    with pytest.raises(DataError, match="not one pixel is labelled"):
        fit_temperature(Scenes([np.full_like(t, 255) for t in truths]), network, card)
    webcam = Scenes(truths)
    webcam.live = True
    with pytest.raises(ArgumentError, match="is live"):
        fit_temperature(webcam, network, card)
