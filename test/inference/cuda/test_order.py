"""Synchronisation order: races on a GPU rarely show, so the ordering is derived instead.

Lanes here run nothing later than they should, but keep account: each step knows every step that is
sure to be over when it begins, were the lanes real streams.
"""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from bisenet_ros.checkpoints import load
from bisenet_ros.inference import OutputRequest
from bisenet_ros.inference.cuda import pipeline
from bisenet_ros.inference.cuda.buffers import FrameBuffers
from bisenet_ros.inference.cuda.pipeline import CudaPipeline
from bisenet_ros.inference.device import Compute

IMAGE = np.zeros((10, 12, 3), np.uint8)


class Ledger:
    """Streams that record, for each step, the steps ordered before it.

    Attributes:
        before: step → the steps that are over when it begins.
        batch: the number of the batch being submitted.
    """

    def __init__(self) -> None:
        self.lanes: dict[str, frozenset] = {
            lane: frozenset() for lane in ("host", "upload", "compute", "download")
        }
        self.before: dict[tuple[str, int], frozenset] = {}
        self.current, self.batch = "host", 0

    @contextmanager
    def on(self, lane):
        previous, self.current = self.current, lane
        yield
        self.current = previous

    def step(self, name):
        # What the host puts into a lane begins after all the host has waited for.
        done = self.lanes[self.current] | self.lanes["host"]
        self.before[name, self.batch] = done
        self.lanes[self.current] = done | {(name, self.batch)}

    def mark(self, lane):
        return self.lanes[lane] | self.lanes["host"]

    def wait(self, lane, mark):
        self.lanes[lane] |= mark

    def finish(self, mark):
        self.lanes["host"] |= mark

    def drain(self):
        raise AssertionError("nothing fails here")

    def milliseconds(self, first, second):
        return 0.0


@pytest.fixture
def ledger(small_weights, monkeypatch):
    """A ledger of six batches, submitted as fast as they are taken."""
    ledger = Ledger()
    monkeypatch.setattr(pipeline, "streams_for", lambda _: ledger)
    network, card = load(small_weights)
    path = CudaPipeline(network, card, Compute(torch.device("cpu"), "fp32"), (32, 32))

    def note(owner, name):
        original = getattr(owner, name)

        def noted(*arguments, **options):
            ledger.step(name)
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, noted)

    for name in ("stage", "upload", "download"):
        note(FrameBuffers, name)
    note(path.pixels, "preprocess")
    note(path.pixels, "classify")
    note(path.runner, "run")
    for ledger.batch in range(6):
        path.submit([IMAGE], ["rgb"], [OutputRequest(overlay=True)])
    return ledger


def test_the_steps_of_a_batch_follow_each_other(ledger):
    steps = ("stage", "upload", "preprocess", "run", "classify", "download")
    for number in range(6):
        for first, second in zip(steps, steps[1:], strict=False):
            assert (first, number) in ledger.before[second, number]


def test_shared_memory_is_free_before_it_is_written_again(ledger):
    for number in range(1, 6):
        # one network input and one set of logits for all
        assert ("run", number - 1) in ledger.before["preprocess", number]
        assert ("classify", number - 1) in ledger.before["run", number]
    for number in range(2, 6):
        # two slots: staging, raw image and outputs
        for last in ("upload", "classify", "download"):
            assert (last, number - 2) in ledger.before["stage", number]


def test_copies_overlap_with_the_network(ledger):
    for number in range(1, 6):
        assert ("run", number - 1) not in ledger.before["upload", number]
        assert ("download", number - 1) not in ledger.before["run", number]
