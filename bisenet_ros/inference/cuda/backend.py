"""Selects the implementation of the pixel kernels that works on this machine."""

from __future__ import annotations

import os
from types import ModuleType

import torch

from bisenet_ros.inference.cuda import plain
from bisenet_ros.inference.cuda.plain import ClassifyOutputs
from bisenet_ros.inference.cuda.tables import (
    byte_table,
    normalisation_table,
    resize_grid,
    upsample_grid,
)


def choose(device: torch.device, classes: int, dtype: torch.dtype) -> tuple[ModuleType, str]:
    """The Triton kernels if they work, else plain PyTorch, which gives the same pixels.

    Triton may be missing (Jetson), or installed without the C compiler it needs at run time, so
    the kernels are tried on one pixel; that also compiles them before the first frame arrives.

    Args:
        device: of the tensors; on the CPU Triton runs only in its interpreter.
        classes: channels of the logits.
        dtype: of the network.

    Returns:
        ``kernels`` or ``plain``, and why Triton does not work; empty if it does or is not needed.

    Raises:
        torch.cuda.OutOfMemoryError: the GPU has no memory for even one pixel.
    """
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return plain, ""
    try:
        from bisenet_ros.inference.cuda import kernels

        _smoke_test(kernels, device, classes, dtype)
    except torch.cuda.OutOfMemoryError:
        raise
    except ImportError as error:
        return plain, f"Triton is not installed ({error}): plain PyTorch resizes and classifies"
    except Exception as error:  # compilers and drivers can raise anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return plain, f"Triton cannot run ({reason}): plain PyTorch resizes and classifies"
    return kernels, ""


def _smoke_test(
    kernels: ModuleType, device: torch.device, classes: int, dtype: torch.dtype
) -> None:
    """Run every kernel variant that a pipeline with this many classes can use."""
    one = (1, 1)
    raw = torch.zeros(1, 1, 3, dtype=torch.uint8, device=device)
    palette = torch.zeros(256, 3, dtype=torch.uint8, device=device)
    network_input = torch.zeros(3, 1, 1, dtype=dtype, device=device)
    table = normalisation_table((0, 0, 0), (1, 1, 1), dtype).to(device)
    grid = resize_grid(one, one, one, device)
    kernels.preprocess(raw, network_input, grid, table, "rgb")
    kernels.preprocess(raw, raw.clone().permute(2, 0, 1), grid, byte_table().to(device), "rgb")
    kernels.bias_relu(network_input[None], torch.zeros(3, dtype=dtype, device=device))
    logits = torch.zeros(classes, 1, 1, dtype=dtype, device=device)
    grid = upsample_grid(one, one, device)
    for groups in (None, torch.zeros(256, dtype=torch.uint8, device=device)):
        for threshold in (0.0, 0.5):
            out = ClassifyOutputs(torch.empty(1, 1, dtype=torch.uint8, device=device))
            kernels.classify(logits, raw, grid, palette, "rgb", threshold, 0.5, out, groups)
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
