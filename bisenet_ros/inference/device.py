"""The devices and precisions available here, and the choice made for ``auto``."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference import gpu
from bisenet_ros.system.cpu import cpu_has_bf16

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
INT8 = "int8"  # of quantised models only


@dataclass(frozen=True)
class Compute:
    """The device and precision the network runs in.

    Attributes:
        device: the torch device.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        fallback: why something slower than expected is used, for diagnostics; else empty.
    """

    device: torch.device
    precision: str
    fallback: str = ""

    @property
    def dtype(self) -> torch.dtype:
        """The network's floating type; beside int8, that of what is not quantised."""
        if self.precision == INT8:
            return torch.float16 if self.device.type == "cuda" else torch.float32
        return DTYPES[self.precision]


def choose(device: str = "auto", precision: str = "auto") -> Compute:
    """Resolve ``auto`` and check that this machine has the device and the precision.

    Raises:
        ArgumentError: the device or precision is unknown or not available here; the message says
            what to pass instead.
    """
    chosen, fallback = _device(device)
    if precision not in ("auto", *DTYPES, INT8):
        raise ArgumentError(
            f"precision is {precision!r}; expected auto, {', '.join(DTYPES)} or {INT8}"
        )
    if chosen.type == "cpu" and precision == "fp16":
        raise ArgumentError("precision fp16 needs a GPU; on the CPU pass bf16, fp32 or auto")
    if chosen.type == "cuda" and (reason := gpu.too_old(chosen.index or 0, precision)):
        raise ArgumentError(f"{reason}; pass precision auto or fp32")
    if precision == "auto":
        precision = _fastest_precision(chosen)
    return Compute(chosen, precision, fallback)


def _device(name: str) -> tuple[torch.device, str]:
    if name == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu"), "no usable GPU: running on the CPU"
        if reason := gpu.problem(0):
            return torch.device("cpu"), f"the GPU cannot be used: {reason}; running on the CPU"
        return torch.device("cuda", 0), ""
    if name == "cpu":
        return torch.device("cpu"), ""
    kind, _, index = name.partition(":")
    if kind != "cuda" or (index and not index.isdecimal()) or name.endswith(":"):
        raise ArgumentError(f"device is {name!r}; expected cuda, cuda:N, cpu or auto")
    if not torch.cuda.is_available():
        raise ArgumentError(
            f"device is {name!r}, but there is no usable GPU: {gpu.why_none()}; or pass "
            "device:=cpu, or device:=auto to use a GPU if there is one"
        )
    number, count = int(index or 0), torch.cuda.device_count()
    if number >= count:
        raise ArgumentError(
            f"device is {name!r}, but this machine has {count} GPU(s); "
            f"pass cuda:0 to cuda:{count - 1}"
        )
    if reason := gpu.problem(number):
        raise ArgumentError(
            f"device is {name!r}, but that GPU cannot be used: {reason}, or pass device:=cpu"
        )
    return torch.device("cuda", number), ""


def _fastest_precision(device: torch.device) -> str:
    if device.type == "cuda":
        return "fp32" if gpu.too_old(device.index or 0, "fp16") else "fp16"
    return "bf16" if cpu_has_bf16() else "fp32"
