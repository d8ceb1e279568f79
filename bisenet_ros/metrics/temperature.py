"""The one number that makes a network's confidence honest.

Temperature scaling of Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks",
ICML 2017, arXiv 1706.04599, section 4.2: logits are divided by the T that minimises the negative
log-likelihood of the labelled pixels. The likeliest class, and with it the mask, stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED

HOTTEST = 20.0  # the T looked for lies between 1/20 and 20
_STEPS = 49  # of 1/T, spread by equal factors
PIXELS = 4096  # drawn of an image: neighbours say much the same, and every one costs 49 softmaxes


@dataclass(frozen=True)
class Temperature:
    """What was fitted.

    Attributes:
        value: T; confidence is softmax(logits / T).
        loss_before, loss_after: mean negative log-likelihood of a pixel at T = 1 and at ``value``.
        pixels: how many were looked at.
        at_limit: the likelihood grows beyond the range looked at: the labels are all right, all
            wrong, or far too few.
    """

    value: float
    loss_before: float
    loss_after: float
    pixels: int
    at_limit: bool


class TemperatureFit:
    """Collects what is needed to find T in one pass; keeps three numbers for each of 49 T.

    The loss is convex in 1/T. Its slope and curvature are summed on a grid of 1/T, and the slope's
    zero is found between two of them on the cubic that has both.

    Args:
        pixels_per_image: labelled pixels drawn of each image, all if there are fewer.
        seed: what they are drawn by.
    """

    def __init__(self, pixels_per_image: int = PIXELS, seed: int = 0) -> None:
        self.pixels_per_image = pixels_per_image
        self._random = np.random.default_rng(seed)
        self._sharpness = np.geomspace(1 / HOTTEST, HOTTEST, _STEPS)  # 1/T; 1 is in the middle
        self._loss, self._slope, self._curve = np.zeros((3, _STEPS))
        self._pixels = 0

    def add(self, logits: np.ndarray, truth: np.ndarray) -> None:
        """Count an image.

        Args:
            logits: (n, H, W) floating, n from 1 to 255.
            truth: (H, W) uint8 ids below n; 255 is left out.

        Raises:
            DataError: a logit is not finite, or an id is not below n.
        """
        places = np.flatnonzero(truth.reshape(-1) != UNLABELLED)
        if len(places) > self.pixels_per_image:
            places = self._random.choice(places, self.pixels_per_image, replace=False)
        if not len(places):
            return
        values = logits.reshape(len(logits), -1)[:, places].astype(np.float64)
        ids = truth.reshape(-1)[places]
        if not np.isfinite(values).all():
            raise DataError("the network's logits are not finite; no temperature can be fitted")
        if ids.max() >= len(values):
            raise DataError(
                f"a label holds id {ids.max()}, but the network has {len(values)} classes: "
                f"expected 0 to {len(values) - 1}, or {UNLABELLED} for unlabelled"
            )
        values -= values.max(0)
        true = values[ids, np.arange(len(ids))]
        for step, sharpness in enumerate(self._sharpness):
            shares = np.exp(sharpness * values)
            total = shares.sum(0)
            mean = (shares * values).sum(0) / total
            square = (shares * values**2).sum(0) / total
            self._loss[step] += (np.log(total) - sharpness * true).sum()
            self._slope[step] += (mean - true).sum()
            self._curve[step] += (square - mean**2).sum()
        self._pixels += len(places)

    def fit(self) -> Temperature:
        """The temperature.

        Raises:
            DataError: there was no labelled pixel.
        """
        if not self._pixels:
            raise DataError("not one pixel is labelled, so there is no temperature to fit")
        before = self._loss[_STEPS // 2] / self._pixels
        rising = np.flatnonzero(self._slope > 0)
        if not len(rising) or rising[0] == 0:
            end = 0 if len(rising) else -1
            value = 1 / self._sharpness[end]
            return Temperature(value, before, self._loss[end] / self._pixels, self._pixels, True)
        below = rising[0] - 1
        ends = slice(below, below + 2)
        sharpness = _zero(self._sharpness[ends], self._slope[ends], self._curve[ends])
        after = _cubic(self._sharpness[ends], self._loss[ends], self._slope[ends], sharpness)
        return Temperature(float(1 / sharpness), before, after / self._pixels, self._pixels, False)


def _cubic(x: np.ndarray, y: np.ndarray, slopes: np.ndarray, at: float) -> float:
    """The cubic through two points with two slopes (Hermite's), somewhere between them."""
    width = x[1] - x[0]
    t = (at - x[0]) / width
    return float(
        (1 + 2 * t) * (1 - t) ** 2 * y[0]
        + t * (1 - t) ** 2 * width * slopes[0]
        + t**2 * (3 - 2 * t) * y[1]
        + t**2 * (t - 1) * width * slopes[1]
    )


def _zero(x: np.ndarray, y: np.ndarray, slopes: np.ndarray) -> float:
    """Where that cubic, which is not above 0 at the first point and above it at the other, is 0."""
    low, high = float(x[0]), float(x[1])
    for _ in range(60):
        middle = (low + high) / 2
        if _cubic(x, y, slopes, middle) > 0:
            high = middle
        else:
            low = middle
    return (low + high) / 2
