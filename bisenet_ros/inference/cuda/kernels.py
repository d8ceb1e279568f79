"""The pixel kernels in Triton: each reads its input once and writes its output once.

Same functions and arguments as plain.py. Fused multiply-add is disabled, which costs nothing here
and makes the two agree bit for bit; only ``exp`` differs in its last bits.
"""
# No ``from __future__ import annotations``: Triton needs ``tl.constexpr`` as an object.

import torch
import triton  # type: ignore[import-not-found,import-untyped,unused-ignore]
import triton.language as tl  # type: ignore[import-not-found,import-untyped,unused-ignore]
from torch import Tensor

from bisenet_ros.inference.cuda import plain
from bisenet_ros.inference.cuda.plain import ClassifyOutputs
from bisenet_ros.inference.cuda.tables import Grid

NAME = "Triton"
BLOCK = 256  # pixels of one row per program
WIDE_BLOCK = 1024  # values per program in the bias-and-ReLU kernel

# Adding and subtracting 1.5 · 2²³ rounds a small float32 to an integer, half to even.
ROUNDING = tl.constexpr(12582912.0)
NO_CLASS = tl.constexpr(255)

# Sizes are not specialised: recompiling for a size of 1 or a multiple of 16 would stall a running
# node when a camera changes its resolution.
SIZES = ["height", "width", "stride_c", "stride_y", "stride_x"]


@triton.jit(do_not_specialize=[*SIZES, "row_bytes", "red", "step"])
def _preprocess_kernel(
    raw,
    out,
    levels,
    row_indices,
    row_weights,
    column_indices,
    column_weights,
    height,
    width,
    row_bytes,
    stride_c,
    stride_y,
    stride_x,
    red,
    step,
    BLOCK: tl.constexpr,
):
    blocks = (width + BLOCK - 1) // BLOCK
    y = tl.program_id(0) // blocks
    x = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    inside = x < width
    top = raw + tl.load(row_indices + y) * row_bytes
    bottom = raw + tl.load(row_indices + height + y) * row_bytes
    above = tl.load(row_weights + y)
    below = tl.load(row_weights + height + y)
    left = tl.load(column_indices + x, mask=inside, other=0) * 3
    right = tl.load(column_indices + width + x, mask=inside, other=0) * 3
    near = tl.load(column_weights + x, mask=inside, other=0)
    far = tl.load(column_weights + width + x, mask=inside, other=0)
    for channel in tl.static_range(3):
        k = red + channel * step  # offset of the channel in a camera pixel
        upper = tl.load(top + left + k, mask=inside, other=0).to(tl.int32) * near
        upper += tl.load(top + right + k, mask=inside, other=0).to(tl.int32) * far
        lower = tl.load(bottom + left + k, mask=inside, other=0).to(tl.int32) * near
        lower += tl.load(bottom + right + k, mask=inside, other=0).to(tl.int32) * far
        mixed = ((upper >> 4) * above >> 16) + ((lower >> 4) * below >> 16)
        value = tl.load(levels + channel * 256 + ((mixed + 2) >> 2), mask=inside, other=0)
        tl.store(out + channel * stride_c + y * stride_y + x * stride_x, value, mask=inside)


@triton.jit
def _mix(corner, above, below, near, far, top, bottom, left, right, inside):
    """The interpolated logits of one class for a block of pixels, float32."""
    upper_left = tl.load(corner + top + left, mask=inside, other=0).to(tl.float32)
    upper_right = tl.load(corner + top + right, mask=inside, other=0).to(tl.float32)
    lower_left = tl.load(corner + bottom + left, mask=inside, other=0).to(tl.float32)
    lower_right = tl.load(corner + bottom + right, mask=inside, other=0).to(tl.float32)
    upper = upper_left * near + upper_right * far
    lower = lower_left * near + lower_right * far
    return upper * above + lower * below


@triton.jit
def _paint(raw, palette, out, pixel, chosen, red, step, camera_weight, colour_weight, inside):
    """The overlay of a block of pixels."""
    for channel in tl.static_range(3):
        camera = tl.load(raw + pixel * 3 + red + channel * step, mask=inside, other=0)
        colour = tl.load(palette + chosen * 3 + channel, mask=inside, other=0)
        mixed = camera.to(tl.float32) * camera_weight + colour.to(tl.float32) * colour_weight
        blended = (mixed + ROUNDING - ROUNDING).to(tl.uint8)
        value = tl.where(chosen == NO_CLASS, camera, blended)
        tl.store(out + pixel * 3 + channel, value, mask=inside)


@triton.jit(do_not_specialize=[*SIZES, "red", "step", "write_confidence", "write_overlay"])
def _classify_kernel(
    logits,
    raw,
    palette,
    mask_out,
    confidence_out,
    overlay_out,
    row_indices,
    row_weights,
    column_indices,
    column_weights,
    groups,
    height,
    width,
    stride_c,
    stride_y,
    stride_x,
    red,
    step,
    threshold,
    camera_weight,
    colour_weight,
    inverse_temperature,
    write_confidence,
    write_overlay,
    CLASSES: tl.constexpr,
    WITH_PROBABILITY: tl.constexpr,
    GROUPED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    blocks = (width + BLOCK - 1) // BLOCK
    y = tl.program_id(0) // blocks
    x = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    inside = x < width
    top = tl.load(row_indices + y) * stride_y
    bottom = tl.load(row_indices + height + y) * stride_y
    above = tl.load(row_weights + y)
    below = tl.load(row_weights + height + y)
    left = tl.load(column_indices + x, mask=inside, other=0) * stride_x
    right = tl.load(column_indices + width + x, mask=inside, other=0) * stride_x
    near = tl.load(column_weights + x, mask=inside, other=0)
    far = tl.load(column_weights + width + x, mask=inside, other=0)

    best = _mix(logits, above, below, near, far, top, bottom, left, right, inside)
    chosen = tl.zeros([BLOCK], tl.int32)
    total = best * 0 + 1  # of exp(score − best), over the classes seen so far
    for c in range(1, CLASSES):
        corner = logits + c * stride_c
        score = _mix(corner, above, below, near, far, top, bottom, left, right, inside)
        better = score > best  # strictly greater: ties go to the lowest class
        if WITH_PROBABILITY:
            gap = tl.exp(-tl.abs(score - best) * inverse_temperature)
            total = tl.where(better, total * gap + 1, total + gap)
        chosen = tl.where(better, c, chosen)
        best = tl.where(better, score, best)

    pixel = y * width + x
    if GROUPED:
        chosen = tl.load(groups + chosen).to(tl.int32)
    if WITH_PROBABILITY:
        if GROUPED:
            own = best * 0
            for c in range(CLASSES):
                corner = logits + c * stride_c
                score = _mix(corner, above, below, near, far, top, bottom, left, right, inside)
                member = chosen == tl.load(groups + c).to(tl.int32)
                power = tl.exp((score - best) * inverse_temperature)
                own += tl.where(member, power, 0.0)
            probability = own / total
            unlabelled = tl.load(groups + NO_CLASS).to(tl.int32)
        else:
            probability = 1 / total
            unlabelled = NO_CLASS
        unlikely = probability < threshold
        chosen = tl.where(unlikely, unlabelled, chosen)
        if write_confidence != 0:
            probability = tl.where(unlikely | (chosen == NO_CLASS), 0.0, probability)
            rounded = probability * 255 + ROUNDING - ROUNDING
            tl.store(confidence_out + pixel, rounded.to(tl.uint8), mask=inside)
    tl.store(mask_out + pixel, chosen.to(tl.uint8), mask=inside)
    if write_overlay != 0:
        _paint(
            raw,
            palette,
            overlay_out,
            pixel,
            chosen,
            red,
            step,
            camera_weight,
            colour_weight,
            inside,
        )


# ``count`` is specialised: loads are vectorised only if it is known to be a multiple of 16.
@triton.jit
def _bias_relu_kernel(x, bias, count, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    value = tl.load(x + at, mask=inside, other=0)
    shift = tl.load(bias + at % CHANNELS, mask=inside, other=0)
    # Rounding after the ReLU gives the same result, since rounding preserves order and sign.
    summed = value.to(tl.float32) + shift.to(tl.float32)
    tl.store(x + at, tl.where(summed < 0, 0.0, summed).to(value.dtype), mask=inside)


@torch.inference_mode()
def preprocess(raw: Tensor, out: Tensor, grid: Grid, levels: Tensor, order: str) -> None:
    """Resize, reorder channels, normalise, pad; see :func:`plain.preprocess`."""
    (row_indices, row_weights), (column_indices, column_weights) = grid
    _, height, width = out.shape
    _preprocess_kernel[(height * triton.cdiv(width, BLOCK),)](
        raw,
        out,
        levels,
        row_indices,
        row_weights,
        column_indices,
        column_weights,
        height,
        width,
        raw.stride(0),
        *out.stride(),
        *_channels(order),
        BLOCK=BLOCK,
        enable_fp_fusion=False,
    )


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
    """Logits to mask, confidence and overlay in one pass; see :func:`plain.classify`."""
    (row_indices, row_weights), (column_indices, column_weights) = grid
    height, width = out.mask.shape
    _classify_kernel[(height * triton.cdiv(width, BLOCK),)](
        logits,
        raw,
        palette,
        out.mask,
        out.mask if out.confidence is None else out.confidence,
        out.mask if out.overlay is None else out.overlay,
        row_indices,
        row_weights,
        column_indices,
        column_weights,
        palette if groups is None else groups,
        height,
        width,
        *logits.stride(),
        *_channels(order),
        float(threshold),
        float(1 - alpha),
        float(alpha),
        float(1 / temperature),
        int(out.confidence is not None),
        int(out.overlay is not None),
        CLASSES=logits.shape[0],
        WITH_PROBABILITY=threshold > 0 or out.confidence is not None,
        GROUPED=groups is not None,
        BLOCK=BLOCK,
        enable_fp_fusion=False,
    )


@torch.inference_mode()
def bias_relu(x: Tensor, bias: Tensor) -> None:
    """Bias and ReLU in place; see :func:`plain.bias_relu`. Only fast for channels-last input."""
    if not x.is_contiguous(memory_format=torch.channels_last):
        plain.bias_relu(x, bias)
        return
    count = x.numel()
    _bias_relu_kernel[(triton.cdiv(count, WIDE_BLOCK),)](
        x, bias, count, CHANNELS=x.shape[1], BLOCK=WIDE_BLOCK, enable_fp_fusion=False
    )


def _channels(order: str) -> tuple[int, int]:
    """The offset of red in a camera pixel, and the step to green and to blue."""
    return (0, 1) if order == "rgb" else (2, -1)
