"""What this machine's GPUs can do, and in words why they cannot."""

from __future__ import annotations

import re

import torch

# Compute capabilities from which on the GPU itself computes in a precision
# (CUDA C++ Programming Guide, "Arithmetic Instructions").
OLDEST = {"fp16": (5, 3), "bf16": (8, 0)}
BUILT_FOR = re.compile(r"(sm|compute)_(\d+)(\d)([a-z]?)")


def why_none() -> str:
    """Why torch finds no GPU."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a CPU build; install one for this machine's CUDA"
    return (
        f"torch {torch.__version__} for CUDA {torch.version.cuda} finds none; check that "
        "nvidia-smi works and that the driver is new enough for this CUDA"
    )


def problem(index: int) -> str:
    """Why torch cannot use a GPU that it finds; empty if it can."""
    try:
        capability = torch.cuda.get_device_capability(index)
        built = torch.cuda.get_arch_list()
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        return (
            f"torch {torch.__version__} for CUDA {torch.version.cuda} cannot start it ({reason}); "
            "check that the driver is new enough for this CUDA"
        )
    matches = [match for name in built if (match := BUILT_FOR.fullmatch(name))]
    if matches and not any(_runs(match, capability) for match in matches):
        return (
            f"it has compute capability {_text(capability)}, and torch {torch.__version__} was "
            f"built for {', '.join(built)}; install a torch built for it"
        )
    return ""


def too_old(index: int, precision: str) -> str:
    """Why a usable GPU does not compute in this precision; empty if it does."""
    oldest = OLDEST.get(precision)
    capability = torch.cuda.get_device_capability(index)
    if oldest is None or capability >= oldest:
        return ""
    return (
        f"{torch.cuda.get_device_name(index)} has compute capability {_text(capability)}, and "
        f"{precision} needs {_text(oldest)}"
    )


def _runs(match: re.Match[str], capability: tuple[int, int]) -> bool:
    """Whether what torch was built for runs on this capability.

    Machine code (sm) runs on the same major version and a minor one at least as high, PTX (compute)
    on whatever is newer, and what ends in a letter on that architecture alone.
    """
    kind, major, minor, suffix = match.groups()
    built = int(major), int(minor)
    if suffix:
        return capability == built
    if kind == "compute":
        return capability >= built
    return capability[0] == built[0] and capability >= built


def _text(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
