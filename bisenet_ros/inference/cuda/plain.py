"""The pixel kernels in plain PyTorch, for machines without Triton, and to test Triton's against.

Same functions, same arguments, same order of rounding as kernels.py; any device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bisenet_ros.inference.cuda.tables import Axis, Grid
from bisenet_ros.labels import UNLABELLED

NAME = "plain PyTorch"
STRIP_ELEMENTS = 1 << 24  # float32 values in hand at once: 64 MB, whatever the camera's size


class ClassifyOutputs(NamedTuple):
    """Where the result of one image is written; all uint8, contiguous, at the camera's size.

    Attributes:
        mask: (H, W).
        confidence: (H, W), or None if nobody asked for it.
        overlay: (H, W, 3) RGB, or None likewise.
    """

    mask: Tensor
    confidence: Tensor | None = None
    overlay: Tensor | None = None


@torch.inference_mode()
def fit(raw: Tensor, out: Tensor, grid: Grid, levels: Tensor, order: str) -> None:
    """Resize, order the channels, normalise, pad: a camera image to the network's input.

    Args:
        raw: (H, W, 3) uint8, contiguous.
        out: (3, h, w) floating, any strides; written.
        grid: of :func:`~bisenet_ros.inference.cuda.tables.fit_grid`, (H, W) to (h, w).
        levels: (3, 256) of ``out``'s dtype.
        order: channel order of ``raw``, ``rgb`` or ``bgr``.
    """
    rows, columns = grid
    pixels = raw if order == "rgb" else raw.flip(2)
    top, bottom = (_across(pixels[i.long()], columns) for i in rows.places)
    above, below = rows.shares[:, :, None, None]
    # As OpenCV: 4 bits go before the second product and 16 after it, 2 more with the rounding.
    mixed = ((top >> 4) * above >> 16) + ((bottom >> 4) * below >> 16)
    values = (mixed + 2 >> 2).long()
    for channel in range(3):
        out[channel] = levels[channel][values[..., channel]]


@torch.inference_mode()
def bias_relu(x: Tensor, bias: Tensor) -> None:
    """Add a bias to each channel and take the positive part, in place.

    Args:
        x: (N, C, H, W) floating; changed.
        bias: (C,) of the same dtype.
    """
    x.add_(bias[:, None, None]).relu_()


def _across(pixels: Tensor, columns: Axis) -> Tensor:
    """(h, W, 3) uint8 to (h, w, 3) int32, scaled by 2048."""
    left, right = (pixels[:, i.long()].to(torch.int32) for i in columns.places)
    near, far = columns.shares[..., None]
    return left * near + right * far


@torch.inference_mode()
def classify(
    logits: Tensor,
    raw: Tensor,
    grid: Grid,
    palette: Tensor,
    order: str,
    threshold: float,
    alpha: float,
    out: ClassifyOutputs,
) -> None:
    """Logits to the class of each camera pixel, and what else ``out`` has room for.

    Args:
        logits: (n, h, w) floating, any strides, 1 ≤ n ≤ 255.
        raw: (H, W, 3) uint8, contiguous, the camera image; read for the overlay only.
        grid: of :func:`~bisenet_ros.inference.cuda.tables.spread_grid`, (h, w) to (H, W).
        palette: (256, 3) uint8 RGB.
        order: channel order of ``raw``, ``rgb`` or ``bgr``.
        threshold: less probable pixels become 255; 0 keeps all.
        alpha: opacity of the colours in the overlay.
        out: written. Of equal logits the lowest class wins. Confidence is the winner's softmax
            probability · 255, rounded, halves to even.
    """
    left, right = grid.columns.places.long()
    near, far = grid.columns.shares
    scores = logits.float()
    wide = scores[..., left] * near + scores[..., right] * far  # n, h, W
    height, width = out.mask.shape
    step = max(1, STRIP_ELEMENTS // (wide.shape[0] * width))
    for start in range(0, height, step):
        strip = slice(start, start + step)
        chosen, probability = _strip(wide, grid, strip, threshold, out)
        mask = chosen.to(torch.uint8)
        if threshold > 0:
            mask = mask.masked_fill(probability < threshold, UNLABELLED)
        out.mask[strip] = mask
        if out.confidence is not None:
            out.confidence[strip] = (probability * 255).round().to(torch.uint8)
        if out.overlay is not None:
            out.overlay[strip] = _blend(raw[strip], mask, palette, order, alpha)


def _strip(
    wide: Tensor, grid: Grid, strip: slice, threshold: float, out: ClassifyOutputs
) -> tuple[Tensor, Tensor]:
    """The best class of some rows and, where needed, its probability: (rows, W) each."""
    upper, lower = grid.rows.places[:, strip].long()
    above, below = grid.rows.shares[:, strip, None]
    full = wide[:, upper] * above + wide[:, lower] * below  # n, rows, W
    best, chosen = full.max(0)
    if threshold <= 0 and out.confidence is None:
        return chosen, best
    return chosen, 1 / (full - best).exp().sum(0)


def _blend(camera: Tensor, mask: Tensor, palette: Tensor, order: str, alpha: float) -> Tensor:
    """The overlay of some rows, (rows, W, 3) uint8 RGB."""
    rgb = camera if order == "rgb" else camera.flip(2)
    mixed = rgb.float() * (1 - alpha) + palette[mask.long()].float() * alpha
    return torch.where((mask == UNLABELLED)[..., None], rgb, mixed.round().to(torch.uint8))
