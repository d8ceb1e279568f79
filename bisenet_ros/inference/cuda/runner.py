"""Runs the network on the GPU, with one CUDA graph per batch size."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bisenet_ros.inference.cuda.streams import Streams
from bisenet_ros.inference.device import Compute

MAX_BATCHES = 8  # batch sizes for which a graph is kept
WARM_UP_RUNS = 3  # cuDNN autotunes in the first run, which must not happen during capture

# PyTorch allows one capture at a time per process, and a reloaded model is captured while the old
# one is still running.
_one_capture = threading.Lock()
_log = logging.getLogger(__name__)


@dataclass
class Batch:
    """The input, logits and CUDA graph of one batch size."""

    images: Tensor
    logits: Tensor | None = None
    graph: torch.cuda.CUDAGraph | None = None


class Runner:
    """Runs a network on inputs with a fixed memory address.

    Args:
        network: as returned by :func:`~bisenet_ros.inference.cuda.network.fast_network`.
        compute: its device and precision.
        padded: (height, width) of its input.
        logits_size: (height, width) of its logits without the padding.
        streams: drained before memory is freed.
        graphs: False runs every batch eagerly.

    Attributes:
        fallback: why some batches run eagerly although graphs were requested; empty if none do.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        compute: Compute,
        padded: tuple[int, int],
        logits_size: tuple[int, int],
        streams: Streams,
        graphs: bool,
    ) -> None:
        self.compute, self.streams, self.graphs = compute, streams, graphs
        self.network, self.padded, self.logits_size = network, padded, logits_size
        self.fallback = ""
        self._pool: Any = None  # memory pool shared by all graphs
        self._batches: OrderedDict[int, Batch] = OrderedDict()

    def images(self, count: int) -> Tensor:
        """The input of a batch, (count, 3, *padded) channels last, to be written before ``run``.

        The first call for a batch size warms up and captures, which takes up to a few seconds.

        Raises:
            torch.cuda.OutOfMemoryError: there is not enough memory for a batch of this size.
        """
        if count not in self._batches:
            self._batches[count] = self._prepare(count)
            while len(self._batches) > MAX_BATCHES:
                self.streams.drain()  # a graph must not be freed while it is running
                self._batches.popitem(last=False)
        self._batches.move_to_end(count)
        return self._batches[count].images

    def replace(self, network: Callable[[Tensor], Tensor]) -> None:
        """Run another network of the same input and logits from the next batch on."""
        self.streams.drain()  # a graph must not be freed while it is running
        self._batches.clear()
        self.network, self.fallback = network, ""

    def run(self, count: int) -> Tensor:
        """Logits (count, n, *logits_size) of ``images(count)``, in the network's dtype.

        They are overwritten by the next run; with streams, call it on ``compute``.
        """
        batch = self._batches[count]
        if batch.graph is not None and batch.logits is not None:
            batch.graph.replay()
            logits = batch.logits
        else:
            logits = self._eager(batch.images)
        return logits[..., : self.logits_size[0], : self.logits_size[1]]

    def _prepare(self, count: int) -> Batch:
        shape = (count, 3, *self.padded)
        device, dtype = self.compute.device, self.compute.dtype
        images = torch.zeros(shape, device=device, dtype=dtype)
        batch = Batch(images.contiguous(memory_format=torch.channels_last))
        if not self.graphs:
            return batch
        for _ in range(WARM_UP_RUNS):
            self._eager(batch.images)
        try:
            batch.graph, batch.logits = self._capture(batch.images)
        except torch.cuda.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError) as error:  # TypeError: torch 2.0 has no capture modes
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            self.fallback = f"no CUDA graph for batches of {count} ({reason}): running eagerly"
            _log.warning(self.fallback)
        return batch

    def _capture(self, images: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        graph = torch.cuda.CUDAGraph()
        # thread_local: CUDA calls of other threads must not invalidate the capture. Sharing one
        # pool is safe because all graphs run one after the other on one stream.
        with (
            _one_capture,
            torch.cuda.graph(
                graph,
                pool=self._pool,
                stream=torch.cuda.current_stream(self.compute.device),
                capture_error_mode="thread_local",
            ),
        ):
            logits = self._eager(images)
        self._pool = self._pool or graph.pool()
        return graph, logits

    def _eager(self, images: Tensor) -> Tensor:
        with _cudnn(self.compute):
            return self.network(images)


@contextmanager
def _cudnn(compute: Compute) -> Iterator[None]:
    """Enable cuDNN autotuning, and disable TF32, which has only 10 fraction bits."""
    if compute.device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=True, deterministic=False, allow_tf32=False
    ):
        yield
