"""The fitted temperature against a search over all pixels, and where it is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisenet_ros.errors import DataError
from bisenet_ros.metrics.temperature import TemperatureFit


def slow_loss(logits: np.ndarray, truth: np.ndarray, temperature: float) -> float:
    losses = []
    for y, x in np.ndindex(truth.shape):
        if truth[y, x] != 255:
            z = [float(v) / temperature for v in logits[:, y, x]]
            top = max(z)
            total = math.log(sum(math.exp(v - top) for v in z)) + top
            losses.append(total - z[truth[y, x]])
    return sum(losses) / len(losses)


def slow_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """Golden-section search over log T, where the loss has one valley."""
    low, high = math.log(1 / 20), math.log(20)
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        if slow_loss(logits, truth, math.exp(a)) < slow_loss(logits, truth, math.exp(b)):
            high = b
        else:
            low = a
    return math.exp((low + high) / 2)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 6.0))
def test_it_finds_what_a_search_finds(seed: int, scale: float):
    random = np.random.default_rng(seed)
    logits = scale * random.normal(size=(4, 6, 7))
    truth = logits.argmax(0).astype(np.uint8)
    wrong = random.random(truth.shape) < 0.3
    truth[wrong] = random.integers(0, 4, int(wrong.sum()))
    truth[0, 0] = 255
    fit = TemperatureFit()
    fit.add(logits, truth)
    found = fit.fit()
    if found.at_limit:
        return
    assert found.pixels == truth.size - 1
    assert found.value == pytest.approx(slow_temperature(logits, truth), rel=2e-3)
    assert found.loss_before == pytest.approx(slow_loss(logits, truth, 1.0))
    assert found.loss_after == pytest.approx(slow_loss(logits, truth, found.value), rel=1e-4)
    assert found.loss_after <= found.loss_before + 1e-9


def test_logits_that_boast_threefold_have_temperature_three():
    random = np.random.default_rng(1)
    honest = random.normal(size=(5, 200, 200))
    shares = np.exp(honest) / np.exp(honest).sum(0)
    draw = random.random((200, 200))
    truth = (shares.cumsum(0) < draw).sum(0).clip(0, 4).astype(np.uint8)
    fit = TemperatureFit(pixels_per_image=40_000)
    for rows in np.split(np.arange(200), 4):  # in any number of parts
        fit.add(3 * honest[:, rows], truth[rows])
    found = fit.fit()
    assert found.value == pytest.approx(3.0, rel=0.03)
    assert not found.at_limit
    sampled = TemperatureFit(pixels_per_image=4000, seed=5)
    sampled.add(3 * honest, truth)
    assert sampled.fit().pixels == 4000
    assert sampled.fit().value == pytest.approx(3.0, rel=0.15)


def test_labels_that_are_all_right_or_all_wrong_stop_at_the_limit():
    logits = np.zeros((2, 3, 3))
    logits[0] = 1.0
    for truth, value in ((0, 1 / 20), (1, 20.0)):
        fit = TemperatureFit()
        fit.add(logits, np.full((3, 3), truth, np.uint8))
        assert fit.fit().at_limit
        assert fit.fit().value == pytest.approx(value)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(DataError, match="not one pixel"):
        TemperatureFit().fit()
    fit = TemperatureFit()
    fit.add(np.zeros((2, 3, 3)), np.full((3, 3), 255, np.uint8))
    with pytest.raises(DataError, match="not one pixel"):
        fit.fit()
    with pytest.raises(DataError, match="not finite"):
        fit.add(np.full((2, 3, 3), np.nan), np.zeros((3, 3), np.uint8))
    with pytest.raises(DataError, match="id 2.*2 classes"):
        fit.add(np.zeros((2, 3, 3)), np.full((3, 3), 2, np.uint8))
