"""Models that run over recordings: on a CPU several copies of each, with a frame each.

Threads that share one frame's layers wait for each other after each of them, and for whatever else
the machine computes. A live camera wants that, since its frame is done sooner; a recording is done
sooner by copies that have a frame and a thread each.
"""

from __future__ import annotations

import queue
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing

import torch

from bisenet_ros.recordings.frame_stream import FrameSource, RecordedFrame, Selection
from bisenet_ros.recordings.prefetch import prefetch
from bisenet_ros.replay.predictor import (
    FramePredictor,
    Prediction,
    Predictor,
    SegmenterPredictor,
)

MAX_COPIES = 8  # each holds the network's weights and activations
# Frames below which loading the copies would take longer than they save.
WORTHWHILE = 64

Batch = list[RecordedFrame]
Found = list[list[Prediction]]  # model by model, frame by frame


class Models:
    """One or several models, as many copies of them as are worth it.

    Args:
        predictors: the models.
        source, selection: what they are to run over.
    """

    def __init__(
        self, predictors: Sequence[Predictor], source: FrameSource, selection: Selection
    ) -> None:
        self.threads = torch.get_num_threads()
        self.copies: list[Sequence[Predictor]] = [predictors]
        count = min(self.threads, MAX_COPIES)
        expected = selection.expected(source)
        if count == 1 or source.live or (expected is not None and expected < WORTHWHILE):
            return
        if all(isinstance(p, SegmenterPredictor) and p.can_be_copied for p in predictors):
            self.copies = self._copied(predictors, count)

    def _copied(self, predictors: Sequence[Predictor], count: int) -> list[Sequence[Predictor]]:
        """``count`` copies of each model, for a share of the threads each."""
        torch.set_num_threads(self.threads // count)  # which engines read when they are built
        try:
            made = [p.copies(count) for p in predictors if isinstance(p, SegmenterPredictor)]
        finally:
            torch.set_num_threads(self.threads)
        return list(zip(*made, strict=True))

    def run(
        self, batches: Iterable[Batch], overlay: bool
    ) -> Generator[tuple[Batch, Found], None, None]:
        """Each batch with what each model made of it, in order; ``overlay``: with overlays."""
        if len(self.copies) == 1:
            for batch in batches:
                yield batch, [run_model(model, batch, overlay) for model in self.copies[0]]
            return
        free: queue.SimpleQueue[Sequence[Predictor]] = queue.SimpleQueue()
        for copy in self.copies:
            free.put(copy)
        share = self.threads // len(self.copies)

        def work(batch: Batch) -> tuple[Batch, Found]:
            torch.set_num_threads(share)  # OpenMP keeps a number for each calling thread
            copy = free.get()
            try:
                return batch, [run_model(model, batch, overlay) for model in copy]
            finally:
                free.put(copy)

        try:
            with closing(
                prefetch(batches, work, len(self.copies), 2 * len(self.copies) + 2)
            ) as done:
                yield from done
        finally:
            torch.set_num_threads(self.threads)


def run_model(
    predictor: Predictor, frames: Sequence[RecordedFrame], overlay: bool = False
) -> list[Prediction]:
    """What a model makes of frames; one that knows recordings gets them whole."""
    if isinstance(predictor, FramePredictor):
        return predictor.of_frames(frames)
    images, orders = [frame.image for frame in frames], [frame.order for frame in frames]
    return predictor(images, orders, overlay)
