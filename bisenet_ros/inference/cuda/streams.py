"""Three streams, so that copies overlap with the network; on the CPU everything is synchronous."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch

LANES = ("upload", "compute", "download")

Mark = Any  # a point in a lane: an event on the GPU, a time on the CPU


class Streams(Protocol):
    """The streams of a pipeline; ``lane`` is one of ``LANES``."""

    def on(self, lane: str) -> AbstractContextManager:
        """Run the context's work in a lane."""

    def mark(self, lane: str) -> Mark:
        """Record a point after all work queued in the lane so far."""

    def wait(self, lane: str, mark: Mark) -> None:
        """Make later work in the lane wait until the mark is reached."""

    def finish(self, mark: Mark) -> None:
        """Block until the mark is reached."""

    def drain(self) -> None:
        """Block until all lanes are empty."""

    def milliseconds(self, first: Mark, second: Mark) -> float:
        """Time between two marks, both of which have been reached."""


class CudaStreams:
    """CUDA streams that wait for each other only where ``wait`` is called.

    ``on`` also makes ``device`` the current device, which Triton's launcher uses.
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
        # One by one: synchronising the whole device would break another thread's capture.
        for stream in self.lanes.values():
            stream.synchronize()

    def milliseconds(self, first: Mark, second: Mark) -> float:
        return first.elapsed_time(second)


class NoStreams:
    """Synchronous execution on the CPU."""

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


def streams_for(device: torch.device) -> Streams:
    """The streams for the device."""
    return CudaStreams(device) if device.type == "cuda" else NoStreams()
