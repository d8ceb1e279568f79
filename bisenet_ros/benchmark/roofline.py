"""Lower bounds on a network's time: its arithmetic and memory traffic at measured peak rates."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bisenet_ros.inference.device import DTYPES
from bisenet_ros.system.cpu import cpu_has_bf16

SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices multiplied
COPIED = {"cpu": 256 << 20, "cuda": 1 << 30}  # bytes, far beyond any cache
REPEATS = 8


@dataclass(frozen=True)
class Cost:
    """The work of a network for one image.

    Attributes:
        macs: multiply-adds of its convolutions.
        values: numbers the convolutions read and write, without weights.
    """

    macs: int
    values: int


def cost(network: nn.Module, size: tuple[int, int]) -> Cost:
    """Count the work for an input of ``size`` (height, width), a multiple the network accepts."""
    costs: list[Cost] = []

    def count(conv: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        macs = output.numel() * conv.weight[0].numel()
        costs.append(Cost(macs, inputs[0].numel() + output.numel()))

    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    hooks = [conv.register_forward_hook(count) for conv in convs]
    parameter = next(network.parameters())
    with torch.inference_mode():
        network(torch.zeros(1, 3, *size, device=parameter.device, dtype=parameter.dtype))
    for hook in hooks:
        hook.remove()
    return Cost(sum(c.macs for c in costs), sum(c.values for c in costs))


def roofline(network: nn.Module, size: tuple[int, int], device: torch.device) -> dict[str, Any]:
    """Measured peak rates of ``device`` and the milliseconds they imply per image; plain values."""
    work = cost(network, size)
    bandwidth = copy_bandwidth(device)
    bounds: dict[str, Any] = {
        "gmacs": work.macs / 1e9,
        "activation_values": work.values,
        "copy_gb_per_s": bandwidth / 1e9,
        "precisions": {},
    }
    for precision in precisions(device):
        peak = gemm_peak(device, DTYPES[precision])
        moved = work.values * torch.empty((), dtype=DTYPES[precision]).element_size()
        bounds["precisions"][precision] = {
            "gemm_gmacs_per_s": peak / 1e9,
            "arithmetic_ms": 1e3 * work.macs / peak,
            "memory_ms": 1e3 * moved / bandwidth,
        }
    return bounds


def precisions(device: torch.device) -> list[str]:
    """The precisions with hardware support on the device."""
    if device.type == "cuda":
        return ["fp32", "fp16", "bf16"]
    return ["fp32", "bf16"] if cpu_has_bf16() else ["fp32"]


def gemm_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Multiply-adds per second of a large matrix product, the best of several runs."""
    side = SIDE[device.type]
    a, b = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(2))
    return side**3 / _best(lambda: torch.mm(a, b), device)


def copy_bandwidth(device: torch.device) -> float:
    """Bytes per second read and written by a large copy, the best of several runs."""
    source = torch.ones(COPIED[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _best(lambda: target.copy_(source), device)


def _best(call: Any, device: torch.device) -> float:
    """Seconds of the fastest of several calls."""
    times = []
    with torch.inference_mode():
        for _ in range(REPEATS):
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            started = time.perf_counter()
            call()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - started)
    return min(times)
