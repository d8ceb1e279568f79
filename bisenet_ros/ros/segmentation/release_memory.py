"""Returns memory to the system after the model has been freed."""

from __future__ import annotations

import ctypes
import gc

import torch


def release_memory() -> None:
    """Return unused memory to the system, on the GPU and on the CPU.

    The allocator settings of ``system/environment.py`` keep freed memory in the process, which is
    right while frames arrive and wrong once the node is unconfigured.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; other C libraries have none
    if trim is not None:
        trim(0)
