"""Run a model over a recording and score it: decoding, inference and scoring side by side.

One thread reads, some decode, one runs the model, some measure, and the caller's own thread takes
the frames in order: it compares neighbours and hands frames to whoever writes them. All queues are
short, so that memory stays flat however long the recording is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.metrics.optical_flow import FlowMethod
from bisenet_ros.metrics.stability import FramePair, pair_flows, warp_pair
from bisenet_ros.recordings.frame_stream import (
    FrameSource,
    RecordedFrame,
    Selection,
    nothing_to_read,
    read_frames,
)
from bisenet_ros.recordings.prefetch import prefetch
from bisenet_ros.replay.frame_scores import FrameMeasures, measure
from bisenet_ros.replay.predictor import Prediction, Predictor
from bisenet_ros.replay.recording_scores import Collector, RecordingScores
from bisenet_ros.replay.side_by_side import Models

# Threads that measure frames: flow and boundaries take longer than a network on a GPU.
MEASURING = max(2, min(6, len(os.sched_getaffinity(0)) // 2))
WAITING = MEASURING + 2  # frames that the model is ahead of their scores

OnFrame = Callable[[RecordedFrame, Prediction], None]
OnRow = Callable[[RecordedFrame, Prediction, dict[str, Any]], None]
OnProgress = Callable[[int], None]


@dataclass(frozen=True)
class ScoreOptions:
    """How a recording is scored.

    Attributes:
        selection: which frames.
        batch: frames the model gets at once.
        boundaries: whether to compute boundary F-scores, the slowest of the figures.
        temporal: whether to compute figures over time; None where the stamps are real.
        flow: the method of the figures over time.
        overlays: whether to have the model build overlays, for those who write frames.
        decoders: threads that decode.
    """

    selection: Selection = field(default_factory=Selection)
    batch: int = 1
    boundaries: bool = True
    temporal: bool | None = None
    flow: FlowMethod = field(default_factory=FlowMethod)
    overlays: bool = False
    decoders: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= 256:
            raise ArgumentError(f"--batch is {self.batch}; expected 1 to 256")


@dataclass(frozen=True)
class Run:
    """How a run over a recording went.

    Attributes:
        source: what the recording is, as JSON values.
        notes: what was odd about it, as JSON values.
        seconds: how long it took, from the first frame asked for to the last one scored.
        frames: how many came out.
        partial: whether it was interrupted, or a live source ended.
        copies: how many copies of the model ran side by side, each with its own frame.
    """

    source: dict[str, Any]
    notes: dict[str, Any]
    seconds: float
    frames: int
    partial: bool
    copies: int = 1

    def figures(self) -> dict[str, Any]:
        """As JSON values."""
        rate = self.frames / self.seconds if self.seconds > 0 else None
        return {
            "partial": self.partial,
            "source": self.source,
            "notes": self.notes,
            "seconds": self.seconds,
            "frames_per_s": rate,
            "copies": self.copies,
        }


@dataclass(frozen=True)
class ScoredRecording:
    """A recording's scores, and how the run went."""

    scores: RecordingScores
    run: Run

    def figures(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return {**self.run.figures(), **self.scores.figures()}


@dataclass(frozen=True, eq=False)
class MeasuredFrame:
    """A frame with what each model made of it, and the time measuring took in ms."""

    frame: RecordedFrame
    predictions: list[Prediction]
    measures: list[FrameMeasures]
    milliseconds: float


def score(
    source: FrameSource,
    predictor: Predictor,
    options: ScoreOptions | None = None,
    on_frame: OnFrame | None = None,
    on_progress: OnProgress | None = None,
    on_row: OnRow | None = None,
) -> ScoredRecording:
    """Score a model on a recording.

    Ctrl-C ends the run: what was scored until then is returned, marked as partial.

    Args:
        source: the recording.
        predictor: the model.
        options: how.
        on_frame: called with each frame and what the model made of it, in order.
        on_progress: called with the number of frames done, after each.
        on_row: called like ``on_frame``, with the frame's figures so far as well, and with those
            of the frame before once more, under ``before``.

    Raises:
        DataError: not one frame can be read, or a label does not fit the model.
    """
    options = options or ScoreOptions()
    collector = Collector(predictor.labels, is_temporal(source, options), options.flow)

    def take(done: MeasuredFrame) -> None:
        begun = time.perf_counter()
        collector.add(done.frame, done.predictions[0], done.measures[0])
        passed = 1e3 * (time.perf_counter() - begun)
        collector.records.set(-1, "score_ms", done.milliseconds + passed)
        if on_frame is not None:
            on_frame(done.frame, done.predictions[0])
        if on_row is not None:
            place = len(collector.records) - 1
            row = collector.records.row(place)
            row["before"] = collector.records.row(place - 1) if place else {}
            on_row(done.frame, done.predictions[0], row)

    run = run_over(source, [predictor], options, [collector], take, on_progress)
    return ScoredRecording(collector.scores(), run)


def is_temporal(source: FrameSource, options: ScoreOptions) -> bool:
    """Whether figures over time are computed."""
    return source.timed if options.temporal is None else options.temporal


def run_over(
    source: FrameSource,
    predictors: Sequence[Predictor],
    options: ScoreOptions,
    collectors: Sequence[Collector],
    take: Callable[[MeasuredFrame], None],
    on_progress: OnProgress | None = None,
) -> Run:
    """Run models over a recording; ``take`` gets each frame in order, in the caller's thread.

    There is one collector per model, which finds the frames that are compared with each other.

    Raises:
        DataError: not one frame can be read, or a label does not fit the model.
    """
    models = Models(predictors, source, options.selection)
    begun = time.perf_counter()
    done, partial = 0, False
    n = len(predictors[0].labels)

    def measured(item: _Paired) -> MeasuredFrame:
        start = time.perf_counter()
        frame, predictions, pairs = item
        found = [measure(frame, p, n, options.boundaries) for p in predictions]
        found = _with_pairs(found, pairs, options.flow)
        return MeasuredFrame(frame, predictions, found, 1e3 * (time.perf_counter() - start))

    try:
        predicted = _paired(predict_frames(source, models, options), collectors)
        with closing(prefetch(predicted, measured, MEASURING, WAITING)) as results:
            while True:
                try:
                    result = next(results)
                except StopIteration:
                    break
                except DataError as error:
                    if not (source.live and done):
                        raise
                    source.notes.warn(str(error))  # a camera was unplugged
                    partial = True
                    break
                take(result)
                done += 1
                if on_progress is not None:
                    on_progress(done)
    except KeyboardInterrupt:
        partial = True
    if not done and not partial:
        raise nothing_to_read(source)
    return Run(
        source=source.facts(),
        notes=source.notes.figures(),
        seconds=time.perf_counter() - begun,
        frames=done,
        partial=partial,
        copies=len(models.copies),
    )


_Paired = tuple[RecordedFrame, list[Prediction], list[FramePair | None]]


def _paired(
    frames: Generator[tuple[RecordedFrame, list[Prediction]], None, None],
    collectors: Sequence[Collector],
) -> Generator[_Paired, None, None]:
    """The frames with the pairs that they make with those before, model by model."""
    with closing(frames):
        for frame, predictions in frames:
            pairs = [
                collector.prepare(frame, prediction)
                for collector, prediction in zip(collectors, predictions, strict=True)
            ]
            yield frame, predictions, pairs


def _with_pairs(
    measures: Sequence[FrameMeasures], pairs: Sequence[FramePair | None], method: FlowMethod
) -> list[FrameMeasures]:
    """The measures with the masks of neighbours warped to each other; one flow for all models."""
    flows = None
    found = []
    for one, pair in zip(measures, pairs, strict=True):
        if pair is None:
            found.append(one)
            continue
        flows = flows or pair_flows(pair, method)
        found.append(replace(one, pair=pair, warped=warp_pair(pair, flows)))
    return found


def predict_frames(
    source: FrameSource, models: Models, options: ScoreOptions
) -> Generator[tuple[RecordedFrame, list[Prediction]], None, None]:
    """Frames with what each model made of them, in order."""
    frames = read_frames(source, options.selection, options.decoders)
    results = models.run(_batches(frames, options.batch), options.overlays)
    with closing(frames), closing(results):
        for batch, found in results:
            for place, frame in enumerate(batch):
                yield frame, [predictions[place] for predictions in found]
            del batch, found  # not held while the next ones are decoded


def _batches(
    frames: Iterable[RecordedFrame], size: int
) -> Generator[list[RecordedFrame], None, None]:
    batch: list[RecordedFrame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def bare_rate(source: FrameSource, predictor: Predictor, frames: int = 32, batch: int = 1) -> float:
    """Frames a second of the model alone, on the first frames of a recording, decoded before.

    What decoding and scoring cost is told by comparing it with a run's own rate.
    """
    with closing(read_frames(source, Selection(limit=frames))) as reading:
        held = list(reading)
    if not held:
        raise nothing_to_read(source)
    batches = list(_batches(held, batch))

    def run() -> float:
        begun = time.perf_counter()
        for some in batches:
            predictor([frame.image for frame in some], [frame.order for frame in some])
        return time.perf_counter() - begun

    run()  # set-up, and memory that is used again
    return len(held) / float(np.median([run() for _ in range(3)]))
