"""Three queues of work, so that copies run while the network computes; or none, on the CPU."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch

LANES = ("upload", "compute", "download")

Mark = Any  # a point in a lane: an event on the GPU, a time on the CPU


class Streams(Protocol):
    """What a path needs of its queues; ``lane`` is one of ``LANES``."""

    def on(self, lane: str) -> AbstractContextManager:
        """Put the work of the context into a lane."""

    def mark(self, lane: str) -> Mark:
        """A point after all work put into the lane so far."""

    def wait(self, lane: str, mark: Mark) -> None:
        """Hold back what is put into the lane from now on until the mark is reached."""

    def finish(self, mark: Mark) -> None:
        """Return when the mark is reached."""

    def drain(self) -> None:
        """Return when every lane is empty."""

    def milliseconds(self, first: Mark, second: Mark) -> float:
        """Time between two marks that were reached."""


class CudaStreams:
    """CUDA streams that do not wait for each other unless told to.

    ``on`` also makes ``device`` the current one, which Triton's launcher goes by.
    """

    def __init__(self, device: torch.device) -> None:
        self.lanes = {lane: torch.cuda.Stream(device) for lane in LANES}

    def on(self, lane: str) -> AbstractContextManager:
        return torch.cuda.stream(self.lanes[lane])

    def mark(self, lane: str) -> Mark:
        event = torch.cuda.Event(enable_timing=True)
        event.record(self.lanes[lane])
        return event

    def wait(self, lane: str, mark: Mark) -> None:
        self.lanes[lane].wait_event(mark)

    def finish(self, mark: Mark) -> None:
        mark.synchronize()

    def drain(self) -> None:
        # One by one: a synchronisation of the whole device would break another thread's capture.
        for stream in self.lanes.values():
            stream.synchronize()

    def milliseconds(self, first: Mark, second: Mark) -> float:
        return first.elapsed_time(second)


class NoStreams:
    """Everything at once and in order, as the CPU does it."""

    def on(self, lane: str) -> AbstractContextManager:
        return nullcontext()

    def mark(self, lane: str) -> Mark:
        return time.perf_counter()

    def wait(self, lane: str, mark: Mark) -> None:
        """All earlier work is done."""

    def finish(self, mark: Mark) -> None:
        """All earlier work is done."""

    def drain(self) -> None:
        """All earlier work is done."""

    def milliseconds(self, first: Mark, second: Mark) -> float:
        return 1e3 * (second - first)


def streams_of(device: torch.device) -> Streams:
    """What suits the device."""
    return CudaStreams(device) if device.type == "cuda" else NoStreams()
