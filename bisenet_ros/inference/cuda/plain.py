"""The pixel kernels in plain PyTorch: for machines without Triton, and as its reference in tests.

Same functions, arguments and rounding order as kernels.py; works on any device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bisenet_ros.inference.cuda.tables import Axis, Grid
from bisenet_ros.labels import UNLABELLED

NAME = "plain PyTorch"
STRIP_ELEMENTS = 1 << 24  # float32 values processed at once: 64 MB, for any camera size


class ClassifyOutputs(NamedTuple):
    """The output arrays of one image; all uint8, contiguous, of one size.

    Attributes:
        mask: (H, W).
        confidence: (H, W), or None if not requested.
        overlay: (H, W, 3) RGB, or None if not requested.
    """

    mask: Tensor
    confidence: Tensor | None = None
    overlay: Tensor | None = None


@torch.inference_mode()
def preprocess(raw: Tensor, out: Tensor, grid: Grid, levels: Tensor, order: str) -> None:
    """Convert a camera image to network input: resize, reorder channels, normalise, pad.

    With a table of bytes, it only resizes and reorders.

    Args:
        raw: (H, W, 3) uint8, contiguous.
        out: (3, h, w) floating or uint8, any strides; written.
        grid: of :func:`~bisenet_ros.inference.cuda.tables.resize_grid`, (H, W) to (h, w).
        levels: (3, 256) of ``out``'s dtype.
        order: channel order of ``raw``, ``rgb`` or ``bgr``.
    """
    rows, columns = grid
    pixels = raw if order == "rgb" else raw.flip(2)
    top, bottom = (_across(pixels[i.long()], columns) for i in rows.indices)
    above, below = rows.weights[:, :, None, None]
    # As in OpenCV: drop 4 bits before the second product, 16 after it, and 2 more when rounding.
    mixed = ((top >> 4) * above >> 16) + ((bottom >> 4) * below >> 16)
    values = (mixed + 2 >> 2).long()
    for channel in range(3):
        out[channel] = levels[channel][values[..., channel]]


@torch.inference_mode()
def bias_relu(x: Tensor, bias: Tensor) -> None:
    """Add a bias to each channel and apply ReLU, in place.

    Args:
        x: (N, C, H, W) floating; changed.
        bias: (C,) of the same dtype.
    """
    x.add_(bias[:, None, None]).relu_()


def _across(pixels: Tensor, columns: Axis) -> Tensor:
    """(h, W, 3) uint8 to (h, w, 3) int32, scaled by 2048."""
    left, right = (pixels[:, i.long()].to(torch.int32) for i in columns.indices)
    near, far = columns.weights[..., None]
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
    groups: Tensor | None = None,
    temperature: float = 1.0,
) -> None:
    """Logits to the class of each pixel of the outputs, and the other outputs in ``out``.

    Args:
        logits: (n, h, w) floating, any strides, 1 ≤ n ≤ 255.
        raw: (H, W, 3) uint8, contiguous, the image at the outputs' size; for the overlay only.
        grid: of :func:`~bisenet_ros.inference.cuda.tables.upsample_grid`, (h, w) to (H, W).
        palette: (256, 3) uint8 RGB.
        order: channel order of ``raw``, ``rgb`` or ``bgr``.
        threshold: pixels with a lower probability are unlabelled; 0 keeps all.
        alpha: opacity of the colours in the overlay.
        out: written. Ties go to the lowest class. Confidence is the softmax probability of the
            chosen class · 255, rounded half to even, and 0 for unlabelled pixels.
        groups: (256,) uint8 of ``LabelMap.table``: the mask shows the chosen class's group, its
            probability is the sum over the group, and unlabelled pixels are ``groups[255]``.
        temperature: of the softmax; without a threshold the mask does not depend on it.
    """
    left, right = grid.columns.indices.long()
    near, far = grid.columns.weights
    scores = logits.float()
    wide = scores[..., left] * near + scores[..., right] * far  # n, h, W
    height, width = out.mask.shape
    step = max(1, STRIP_ELEMENTS // (wide.shape[0] * width))
    for start in range(0, height, step):
        strip = slice(start, start + step)
        probable = threshold > 0 or out.confidence is not None
        mask, probability = _strip(wide, grid, strip, groups, probable, 1 / temperature)
        if threshold > 0:
            unlikely = probability < threshold
            mask = mask.masked_fill(unlikely, UNLABELLED if groups is None else groups[UNLABELLED])
            probability = probability.masked_fill(unlikely, 0)
        out.mask[strip] = mask
        if out.confidence is not None:
            sure = probability.masked_fill(mask == UNLABELLED, 0)
            out.confidence[strip] = (sure * 255).round().to(torch.uint8)
        if out.overlay is not None:
            out.overlay[strip] = _blend(raw[strip], mask, palette, order, alpha)


def _strip(
    wide: Tensor,
    grid: Grid,
    strip: slice,
    groups: Tensor | None,
    probable: bool,
    inverse_temperature: float,
) -> tuple[Tensor, Tensor]:
    """What a strip of rows shows, uint8, and if asked for its probability: (rows, W) each."""
    upper, lower = grid.rows.indices[:, strip].long()
    above, below = grid.rows.weights[:, strip, None]
    full = wide[:, upper] * above + wide[:, lower] * below  # n, rows, W
    best, chosen = full.max(0)
    mask = chosen.to(torch.uint8) if groups is None else groups[chosen]
    if not probable:
        return mask, best
    powers = ((full - best) * inverse_temperature).exp()
    if groups is None:
        return mask, 1 / powers.sum(0)
    own = groups[: len(powers), None, None] == mask
    return mask, (powers * own).sum(0) / powers.sum(0)


def _blend(camera: Tensor, mask: Tensor, palette: Tensor, order: str, alpha: float) -> Tensor:
    """The overlay of a strip of rows, (rows, W, 3) uint8 RGB."""
    rgb = camera if order == "rgb" else camera.flip(2)
    mixed = rgb.float() * (1 - alpha) + palette[mask.long()].float() * alpha
    return torch.where((mask == UNLABELLED)[..., None], rgb, mixed.round().to(torch.uint8))
