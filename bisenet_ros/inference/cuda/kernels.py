"""The pixel kernels in Triton: each reads its input once and writes its output once.

Same functions and arguments as plain.py. Products and sums are rounded one by one (no fused
multiply-add), which costs nothing here and makes the two agree bit for bit; only ``exp`` differs
in its last bits.
"""
# No postponed annotations here: Triton reads ``tl.constexpr`` as an object.

import torch
import triton  # type: ignore[import-not-found,import-untyped,unused-ignore]
import triton.language as tl  # type: ignore[import-not-found,import-untyped,unused-ignore]
from torch import Tensor

from bisenet_ros.inference.cuda import plain
from bisenet_ros.inference.cuda.plain import ClassifyOutputs
from bisenet_ros.inference.cuda.tables import Grid

NAME = "Triton"
BLOCK = 256  # pixels of one row a program computes
WIDE_BLOCK = 1024  # values a program of the simplest kernel computes

# Adding and subtracting 1.5 · 2²³ rounds a small float32 to a whole number, halves to even.
ROUNDER = tl.constexpr(12582912.0)
NO_CLASS = tl.constexpr(255)

# Sizes are arguments like any other: compiling anew for a size of 1 or one that 16 divides would
# stall a running node when a camera changes its resolution.
SIZES = ["height", "width", "stride_c", "stride_y", "stride_x"]


@triton.jit(do_not_specialize=[*SIZES, "row_bytes", "red", "step"])
def _fit_kernel(
    raw,
    out,
    levels,
    row_places,
    row_shares,
    column_places,
    column_shares,
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
    top = raw + tl.load(row_places + y) * row_bytes
    bottom = raw + tl.load(row_places + height + y) * row_bytes
    above = tl.load(row_shares + y)
    below = tl.load(row_shares + height + y)
    left = tl.load(column_places + x, mask=inside, other=0) * 3
    right = tl.load(column_places + width + x, mask=inside, other=0) * 3
    near = tl.load(column_shares + x, mask=inside, other=0)
    far = tl.load(column_shares + width + x, mask=inside, other=0)
    for channel in tl.static_range(3):
        k = red + channel * step  # where the channel lies in a camera pixel
        upper = tl.load(top + left + k, mask=inside, other=0).to(tl.int32) * near
        upper += tl.load(top + right + k, mask=inside, other=0).to(tl.int32) * far
        lower = tl.load(bottom + left + k, mask=inside, other=0).to(tl.int32) * near
        lower += tl.load(bottom + right + k, mask=inside, other=0).to(tl.int32) * far
        mixed = ((upper >> 4) * above >> 16) + ((lower >> 4) * below >> 16)
        value = tl.load(levels + channel * 256 + ((mixed + 2) >> 2), mask=inside, other=0)
        tl.store(out + channel * stride_c + y * stride_y + x * stride_x, value, mask=inside)


@triton.jit
def _mix(corner, above, below, near, far, top, bottom, left, right, inside):
    """One class's logit at the pixels of a block, float32."""
    upper_left = tl.load(corner + top + left, mask=inside, other=0).to(tl.float32)
    upper_right = tl.load(corner + top + right, mask=inside, other=0).to(tl.float32)
    lower_left = tl.load(corner + bottom + left, mask=inside, other=0).to(tl.float32)
    lower_right = tl.load(corner + bottom + right, mask=inside, other=0).to(tl.float32)
    upper = upper_left * near + upper_right * far
    lower = lower_left * near + lower_right * far
    return upper * above + lower * below


@triton.jit
def _paint(raw, palette, out, pixel, chosen, red, step, camera_share, colour_share, inside):
    """The overlay of the pixels of a block."""
    for channel in tl.static_range(3):
        camera = tl.load(raw + pixel * 3 + red + channel * step, mask=inside, other=0)
        colour = tl.load(palette + chosen * 3 + channel, mask=inside, other=0)
        mixed = camera.to(tl.float32) * camera_share + colour.to(tl.float32) * colour_share
        blended = (mixed + ROUNDER - ROUNDER).to(tl.uint8)
        shown = tl.where(chosen == NO_CLASS, camera, blended)
        tl.store(out + pixel * 3 + channel, shown, mask=inside)


@triton.jit(do_not_specialize=[*SIZES, "red", "step", "wants_confidence", "wants_overlay"])
def _classify_kernel(
    logits,
    raw,
    palette,
    mask_out,
    confidence_out,
    overlay_out,
    row_places,
    row_shares,
    column_places,
    column_shares,
    height,
    width,
    stride_c,
    stride_y,
    stride_x,
    red,
    step,
    threshold,
    camera_share,
    colour_share,
    wants_confidence,
    wants_overlay,
    CLASSES: tl.constexpr,
    PROBABLE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    blocks = (width + BLOCK - 1) // BLOCK
    y = tl.program_id(0) // blocks
    x = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    inside = x < width
    top = tl.load(row_places + y) * stride_y
    bottom = tl.load(row_places + height + y) * stride_y
    above = tl.load(row_shares + y)
    below = tl.load(row_shares + height + y)
    left = tl.load(column_places + x, mask=inside, other=0) * stride_x
    right = tl.load(column_places + width + x, mask=inside, other=0) * stride_x
    near = tl.load(column_shares + x, mask=inside, other=0)
    far = tl.load(column_shares + width + x, mask=inside, other=0)

    best = _mix(logits, above, below, near, far, top, bottom, left, right, inside)
    chosen = tl.zeros([BLOCK], tl.int32)
    total = best * 0 + 1  # of exp(score − best), over the classes seen so far
    for c in range(1, CLASSES):
        corner = logits + c * stride_c
        score = _mix(corner, above, below, near, far, top, bottom, left, right, inside)
        better = score > best  # strictly: of equals the lowest class stays
        if PROBABLE:
            gap = tl.exp(-tl.abs(score - best))
            total = tl.where(better, total * gap + 1, total + gap)
        chosen = tl.where(better, c, chosen)
        best = tl.where(better, score, best)

    pixel = y * width + x
    if PROBABLE:
        probability = 1 / total
        chosen = tl.where(probability < threshold, NO_CLASS, chosen)
        if wants_confidence != 0:
            rounded = probability * 255 + ROUNDER - ROUNDER
            tl.store(confidence_out + pixel, rounded.to(tl.uint8), mask=inside)
    tl.store(mask_out + pixel, chosen.to(tl.uint8), mask=inside)
    if wants_overlay != 0:
        _paint(
            raw, palette, overlay_out, pixel, chosen, red, step, camera_share, colour_share, inside
        )


# Not exempt from specialisation: only where 16 is known to divide ``count`` are loads wide.
@triton.jit
def _bias_relu_kernel(x, bias, count, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    value = tl.load(x + at, mask=inside, other=0)
    shift = tl.load(bias + at % CHANNELS, mask=inside, other=0)
    # Rounding after the ReLU instead of before it changes nothing: it keeps order and sign.
    summed = value.to(tl.float32) + shift.to(tl.float32)
    tl.store(x + at, tl.where(summed < 0, 0.0, summed).to(value.dtype), mask=inside)


@torch.inference_mode()
def fit(raw: Tensor, out: Tensor, grid: Grid, levels: Tensor, order: str) -> None:
    """Resize, order the channels, normalise, pad; see :func:`plain.fit`."""
    (row_places, row_shares), (column_places, column_shares) = grid
    _, height, width = out.shape
    _fit_kernel[(height * triton.cdiv(width, BLOCK),)](
        raw,
        out,
        levels,
        row_places,
        row_shares,
        column_places,
        column_shares,
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
) -> None:
    """Logits to mask, confidence and overlay in one pass; see :func:`plain.classify`."""
    (row_places, row_shares), (column_places, column_shares) = grid
    height, width = out.mask.shape
    _classify_kernel[(height * triton.cdiv(width, BLOCK),)](
        logits,
        raw,
        palette,
        out.mask,
        out.mask if out.confidence is None else out.confidence,
        out.mask if out.overlay is None else out.overlay,
        row_places,
        row_shares,
        column_places,
        column_shares,
        height,
        width,
        *logits.stride(),
        *_channels(order),
        float(threshold),
        float(1 - alpha),
        float(alpha),
        int(out.confidence is not None),
        int(out.overlay is not None),
        CLASSES=logits.shape[0],
        PROBABLE=threshold > 0 or out.confidence is not None,
        BLOCK=BLOCK,
        enable_fp_fusion=False,
    )


@torch.inference_mode()
def bias_relu(x: Tensor, bias: Tensor) -> None:
    """Bias and ReLU in place; see :func:`plain.bias_relu`. Fast for channels last only."""
    if not x.is_contiguous(memory_format=torch.channels_last):
        plain.bias_relu(x, bias)
        return
    count = x.numel()
    _bias_relu_kernel[(triton.cdiv(count, WIDE_BLOCK),)](
        x, bias, count, CHANNELS=x.shape[1], BLOCK=WIDE_BLOCK, enable_fp_fusion=False
    )


def _channels(order: str) -> tuple[int, int]:
    """Where red lies in a camera pixel, and the way to green and blue."""
    return (0, 1) if order == "rgb" else (2, -1)
