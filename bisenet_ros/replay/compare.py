"""Two models on the same frames: how they differ, how surely, and where to look."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bisenet_ros.errors import ArgumentError
from bisenet_ros.metrics.bootstrap import (
    BLOCK_S,
    ChangedPixels,
    PairedDifference,
    blocks,
    paired_difference,
)
from bisenet_ros.metrics.confusion import defined
from bisenet_ros.metrics.growing import GrowingArray
from bisenet_ros.metrics.ranking import highest
from bisenet_ros.recordings.frame_stream import FrameSource, RecordedFrame
from bisenet_ros.replay.predictor import Prediction, Predictor
from bisenet_ros.replay.recording_scores import Collector, RecordingScores
from bisenet_ros.replay.score import (
    MeasuredFrame,
    OnProgress,
    Run,
    ScoreOptions,
    is_temporal,
    run_over,
)

OnPair = Callable[[RecordedFrame, Prediction, Prediction], None]


@dataclass(frozen=True)
class Comparison:
    """What was measured of two models on the same frames.

    Attributes:
        first, second: the scores of each.
        run: how the run went.
        difference: in mIoU and in each class's IoU, second minus first, with intervals; None
            without truth.
        changed: labelled pixels that only one of the models gets right.
        apart: (F,) share of each frame's pixels that the models call something else.
        gained, lost: (F,) labelled pixels of each frame that only the second, or only the first
            model gets right.
    """

    first: RecordingScores
    second: RecordingScores
    run: Run
    difference: PairedDifference | None
    changed: ChangedPixels
    apart: np.ndarray
    gained: np.ndarray
    lost: np.ndarray

    @property
    def miou_change(self) -> np.ndarray:
        """(F,) each frame's mIoU of the second model minus that of the first; NaN without truth."""
        return self.second.records.column("miou") - self.first.records.column("miou")

    def most_different(self, count: int = 8) -> list[int]:
        """Places of the frames that differ most, at least 1 s apart.

        By mIoU where there is truth, by the share of pixels otherwise.
        """
        change = np.abs(self.miou_change)
        if np.isnan(change).all():
            change = self.apart
        return highest(change, self.first.records.column("stamp_ns"), count)

    def figures(self) -> dict[str, Any]:
        """Everything as JSON values."""
        names = self.first.labels.names
        return {
            **self.run.figures(),
            "first": self.first.figures(),
            "second": self.second.figures(),
            "difference": None if self.difference is None else self.difference.figures(names),
            "changed_pixels": (None if self.difference is None else self.changed.figures(names)),
            "different_pixels": float(self.apart.mean()) if len(self.apart) else None,
            "most_different": [self.row(place) for place in self.most_different()],
        }

    def row(self, place: int) -> dict[str, Any]:
        """One frame's figures of both models."""
        first, second = self.first.records.row(place), self.second.records.row(place)
        change = float(self.miou_change[place])
        return {
            **{key: first[key] for key in ("index", "stamp_ns", "name", "labelled")},
            "first_miou": first["miou"],
            "second_miou": second["miou"],
            "miou_change": defined(change),
            "different_pixels": float(self.apart[place]),
            "gained": int(self.gained[place]),
            "lost": int(self.lost[place]),
        }


def compare(
    source: FrameSource,
    first: Predictor,
    second: Predictor,
    options: ScoreOptions | None = None,
    on_frame: OnPair | None = None,
    on_progress: OnProgress | None = None,
    seed: int = 0,
) -> Comparison:
    """Run two models over the same frames; arguments and errors as of ``score``.

    Raises:
        ArgumentError: the models do not have the same classes.
        DataError: not one frame can be read, or a label does not fit the models.
    """
    options = options or ScoreOptions()
    _check_classes(first, second)
    temporal = is_temporal(source, options)
    models = (first, second)
    collectors = [Collector(model.labels, temporal, options.flow) for model in models]
    changed = ChangedPixels(len(first.labels))
    apart, pixels = GrowingArray(np.float64), GrowingArray(np.int64, (2,))

    def take(done: MeasuredFrame) -> None:
        begun = time.perf_counter()
        for collector, prediction, found in zip(
            collectors, done.predictions, done.measures, strict=True
        ):
            collector.add(done.frame, prediction, found)
        one, other = (prediction.mask for prediction in done.predictions)
        apart.append(np.count_nonzero(one != other) / one.size)
        gained = lost = 0
        if done.frame.truth is not None:
            gained, lost = (int(part.sum()) for part in changed.add(done.frame.truth, one, other))
        pixels.append((gained, lost))
        passed = done.milliseconds + 1e3 * (time.perf_counter() - begun)
        for collector in collectors:
            collector.records.set(-1, "score_ms", passed / len(collectors))
        if on_frame is not None:
            on_frame(done.frame, *done.predictions)

    run = run_over(source, models, options, collectors, take, on_progress)
    scored = [collector.scores() for collector in collectors]
    return Comparison(
        first=scored[0],
        second=scored[1],
        run=run,
        difference=_difference(scored[0], scored[1], source.timed, seed),
        changed=changed,
        apart=apart.values,
        gained=pixels.values[:, 0],
        lost=pixels.values[:, 1],
    )


def _check_classes(first: Predictor, second: Predictor) -> None:
    names, others = first.labels.names, second.labels.names
    if names != others:
        differ = [f"{a} and {b}" for a, b in zip(names, others, strict=False) if a != b]
        found = differ[0] if differ else f"{len(names)} and {len(others)} of them"
        raise ArgumentError(
            f"the two models have different classes ({found}); expected the same, in the same order"
        )


def _difference(
    first: RecordingScores, second: RecordingScores, timed: bool, seed: int
) -> PairedDifference | None:
    labelled = first.records.column("labelled")
    if first.scores is None:
        return None
    stamps = first.records.column("stamp_ns")[labelled]
    # Images that no clock connects are blocks of their own.
    block = blocks(stamps, BLOCK_S) if timed else np.arange(len(stamps))
    counts = [scored.records.counts[labelled] for scored in (first, second)]
    return paired_difference(counts[0], counts[1], block, seed=seed)
