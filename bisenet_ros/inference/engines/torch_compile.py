"""The PyTorch engine with torch.compile."""

from __future__ import annotations

import logging
import os
import shutil
import time
from typing import Any

import torch
from torch import Tensor

from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference.engines.torch import TorchEngine
from bisenet_ros.system.optional import cache_folder

log = logging.getLogger("bisenet_ros.inference")


class CompileEngine(TorchEngine):
    """Like :class:`TorchEngine`, but compiles the network on the first call of each input shape.

    Attributes:
        compile_seconds: spent compiling so far; later processes reuse most of it from disk.

    Raises:
        ArgumentError: there is no C++ compiler, which the CPU kernels need.
    """

    name = "compile"
    fuses = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        compiler = os.environ.get("CXX", "g++")
        if self.compute.device.type == "cpu" and shutil.which(compiler) is None:
            raise ArgumentError(
                f"engine compile needs a C++ compiler, but {compiler} was not found; "
                "install g++, or pass engine:=torch"
            )
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder("inductor")))
        self.compile_seconds = 0.0
        self._shapes: set[torch.Size] = set()
        compiled: Any = torch.compile(self.network, dynamic=False, options={"freezing": True})
        self.network = compiled

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Same as :meth:`TorchEngine.forward`."""
        if x.shape in self._shapes:
            return super().forward(x, size)
        started = time.perf_counter()
        logits = super().forward(x, size)
        seconds = time.perf_counter() - started
        self.compile_seconds += seconds
        self._shapes.add(x.shape)
        log.info("compiled for %s in %.1f s", "×".join(map(str, x.shape)), seconds)
        return logits
