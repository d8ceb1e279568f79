"""Class weights for cross entropy, from the classes' shares of the pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bisenet_ros.errors import ArgumentError

KINDS = "none, log, inverse, median, or comma-separated numbers, one per class"


def class_weights(kind: str, shares: np.ndarray) -> Tensor | None:
    """(n,) float32 class weights of mean 1, or None for uniform weights.

    Args:
        kind: ``none``; ``log``: 1 / ln(1.1 + share) (ENet, arXiv 1606.02147, § 5.2);
            ``inverse``: 1 / share; ``median``: median share / share (arXiv 1411.4734, § 6.3.2);
            or comma-separated numbers, used as they are.
        shares: (n,) float64, each class's share of the labelled pixels. A class that does not
            occur gets the weight of the rarest one that does.

    Raises:
        ArgumentError: any other kind, or the wrong count of numbers.
    """
    if kind == "none":
        return None
    if any(digit in kind for digit in "0123456789"):
        return _parsed(kind, len(shares))
    seen = np.where(shares > 0, shares, shares[shares > 0].min())
    formulas = {
        "log": lambda: 1 / np.log(1.1 + seen),
        "inverse": lambda: 1 / seen,
        "median": lambda: np.median(seen) / seen,
    }
    if kind not in formulas:
        raise ArgumentError(f"class_weights is {kind!r}; expected {KINDS}")
    weights = formulas[kind]()
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)


def _parsed(text: str, count: int) -> Tensor:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ArgumentError(f"class_weights is {text!r}; expected {KINDS}") from error
    if len(numbers) != count or not all(n >= 0 for n in numbers):
        raise ArgumentError(
            f"class_weights has {len(numbers)} numbers; expected {count}, none below 0"
        )
    return torch.tensor(numbers, dtype=torch.float32)
