"""A weights file through every engine, compared with the plain network in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bisenet_ros.checkpoints import load
from bisenet_ros.inference import Segmenter
from bisenet_ros.inference.engines import ENGINES
from bisenet_ros.inference.export import writer
from bisenet_ros.inference.trial import synthetic_image
from bisenet_ros.selftest.row import ENGINE_TOLERANCE, Row

SLOW = ("compile",)  # takes minutes; run if it is named


def installed_engines() -> list[str]:
    """The engines that run unless others are named: those installed that run on a CPU."""
    return [
        name
        for name, spec in ENGINES.items()
        if name not in SLOW and spec.installed and spec.precisions("cpu")
    ]


def check_engines(row: Row, weights: Path, engines: list[str], size: tuple[int, int]) -> None:
    """Note in ``row`` how far every engine's logits are from the plain network's.

    An engine that reads exported models gets the exported file.

    Args:
        row: to write to.
        weights: a weights file; exported models are written beside it.
        engines: keys of ``ENGINES``.
        size: (height, width) of the input, multiples of the network's ``multiple``.
    """
    network, card = load(weights)
    images = torch.from_numpy(synthetic_image(size))[None]
    wanted = plain_logits(weights, images)
    for name in engines:
        with row.checking(f"engine {name}"):
            model = weights
            if ENGINES[name].reads:
                model = weights.with_suffix(ENGINES[name].reads)
                writer.write(model, network, card, size)
            segmenter = Segmenter(model, "cpu", "fp32", name, size)
            found = segmenter.engine.pipeline.engine(images)  # type: ignore[operator]
            row.engines[name] = error = relative(found, wanted)
            row.expect(
                error <= ENGINE_TOLERANCE,
                f"engine {name} differs by {error:.1e}; expected at most {ENGINE_TOLERANCE:.0e}",
            )


def plain_logits(weights: Path, images: Tensor) -> Tensor:
    """Logits (N, n, h, w) of images (N, H, W, 3) uint8 RGB, with nothing fused or folded."""
    network, card = load(weights)
    mean, std = (torch.tensor(triple).view(1, 3, 1, 1) for triple in (card.mean, card.std))
    with torch.inference_mode():
        return network((images.permute(0, 3, 1, 2) / 255 - mean) / std)


def relative(found: Tensor | np.ndarray, wanted: Tensor | np.ndarray) -> float:
    """Largest difference by the largest value; infinite if shapes differ or numbers are missing."""
    found, wanted = torch.as_tensor(found), torch.as_tensor(wanted)
    if found.shape != wanted.shape or not bool(torch.isfinite(found).all()):
        return float("inf")
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30))
