"""Score many recordings: here, in several processes, or wherever tasks are run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.errors import BisenetError, DataError
from bisenet_ros.metrics.confusion import defined, per_class, scores
from bisenet_ros.recordings.several import short_names
from bisenet_ros.replay.evaluation import RecordingOptions, evaluate_recording
from bisenet_ros.replay.model import ModelOptions

INTERRUPTED = "interrupted before its first frame"
FAREWELL_S = 60.0  # seconds an interrupted worker has to write what it scored


@dataclass(frozen=True)
class RecordingTask:
    """One recording to score, as plain values.

    Attributes:
        name: path or URL of the recording.
        folder: name of its folder in the results.
        model: the weights and how they run.
        options: how the recording is read and scored.
        facts: further content of metrics.json.
    """

    name: str
    folder: str
    model: ModelOptions
    options: RecordingOptions
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a recording: the content of its metrics.json, or why there is none.

    ``interrupted``: it was, before its first frame.
    """

    task: RecordingTask
    metrics: dict[str, Any] | None = None
    error: str | None = None
    interrupted: bool = False

    @property
    def figures(self) -> dict[str, Any]:
        """The recording's row of the summary, as JSON values."""
        found = self.metrics or {}
        steady = found.get("stability") or {}
        calibration = found.get("calibration") or {}
        return {
            "recording": self.task.name,
            "folder": self.task.folder,
            "error": self.error,
            "partial": self.interrupted or bool(found.get("partial")),
            "frames": found.get("frames"),
            "labelled_frames": found.get("labelled_frames"),
            "seconds": (found.get("source") or {}).get("seconds"),
            "miou": found.get("miou"),
            "boundary_f": found.get("boundary_f"),
            "expected_calibration_error": calibration.get("expected_calibration_error"),
            "temporal_consistency": steady.get("temporal_consistency"),
            "flicker": steady.get("flicker"),
            "confidence": (found.get("confidence") or {}).get("mean"),
            "frames_per_s": found.get("frames_per_s"),
        }


def tasks(
    names: Sequence[str], model: ModelOptions, options: RecordingOptions, facts: dict[str, Any]
) -> list[RecordingTask]:
    """One task per recording, each with a folder of its own."""
    return [
        RecordingTask(name, folder, model, options, facts)
        for name, folder in zip(names, short_names(list(names)), strict=True)
    ]


class Scorer:
    """Runs tasks one after the other; loads the model once."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._model: Any = None
        self._options: ModelOptions | None = None

    def __call__(self, task: RecordingTask) -> Outcome:
        """The outcome of a task; bad data is one, too. Bugs are raised."""
        try:
            if self._options != task.model:
                self._model, self._options = task.model.load(), task.model
            metrics = evaluate_recording(
                task.name, self._model, task.options, self.out / task.folder, task.facts
            )
        except BisenetError as error:
            return Outcome(task, error=str(error))
        return Outcome(task, metrics)


def score_here(work: Sequence[RecordingTask], out: Path) -> Iterator[Outcome]:
    """Score one recording after the other in this process.

    An interrupted recording is the last one; KeyboardInterrupt if it was before its first frame.
    """
    run = Scorer(out)
    for task in work:
        outcome = run(task)
        yield outcome
        if outcome.metrics is not None and outcome.metrics["partial"]:
            return


def score_in_processes(work: Sequence[RecordingTask], out: Path, workers: int) -> Iterator[Outcome]:
    """Score several recordings at once; outcomes in the order in which they are done.

    A process that dies costs its own recording, which is reported, and is replaced. On Ctrl-C the
    processes write what they have; their recordings are marked as partial.
    """
    crew = _Crew(out, workers, list(work))
    try:
        yield from crew.outcomes()
    except KeyboardInterrupt:
        yield from crew.interrupt()
    finally:
        crew.close()


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    task: RecordingTask | None = None


class _Crew:
    def __init__(self, out: Path, workers: int, waiting: list[RecordingTask]) -> None:
        self.out = out
        self.waiting = waiting
        self.threads = max(1, len(os.sched_getaffinity(0)) // workers)
        self.context = get_context("spawn")  # threads of this process must not be forked
        self.count = min(workers, len(waiting))
        self.workers: list[_Worker] = []
        self.interrupted = False

    def outcomes(self) -> Iterator[Outcome]:
        """Start the processes, hand out tasks and yield what comes back, until all is done."""
        for _ in range(self.count):
            self._give(self._start())
        while any(worker.task for worker in self.workers):
            yield from self._received(None)

    def interrupt(self) -> Iterator[Outcome]:
        """Have the processes finish at once, and yield what they have."""
        self.waiting.clear()
        self.interrupted = True
        for worker in self.workers:
            if worker.task is not None:
                worker.process.terminate()
        while any(worker.task for worker in self.workers):
            found = list(self._received(FAREWELL_S))
            if not found:
                return
            yield from found

    def close(self) -> None:
        """End all processes."""
        for worker in self.workers:
            worker.pipe.close()
        for worker in self.workers:
            worker.process.join(2.0)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _received(self, timeout_s: float | None) -> Iterator[Outcome]:
        busy = {worker.pipe: worker for worker in self.workers if worker.task is not None}
        for pipe in wait(list(busy), timeout_s):
            worker = busy[pipe]  # type: ignore[index]
            task = worker.task
            assert task is not None
            worker.task = None
            try:
                content = worker.pipe.recv()
            except (EOFError, OSError):
                self._bury(worker)
                yield self._lost(task, worker.process.exitcode)
                continue
            self._give(worker)
            if isinstance(content, Outcome):
                yield content
            else:
                yield Outcome(task, error=f"it could not be scored: {content}")

    def _lost(self, task: RecordingTask, code: int | None) -> Outcome:
        if self.interrupted:  # it was still loading its modules
            return Outcome(task, error=INTERRUPTED, interrupted=True)
        how = f"by signal {-code}" if code is not None and code < 0 else f"with code {code}"
        return Outcome(task, error=f"the process that scored it ended {how}")

    def _give(self, worker: _Worker) -> None:
        if self.waiting:
            worker.task = self.waiting.pop(0)
            worker.pipe.send(worker.task)

    def _bury(self, worker: _Worker) -> None:
        worker.process.join()
        worker.pipe.close()
        self.workers.remove(worker)
        if self.waiting:
            self._give(self._start())

    def _start(self) -> _Worker:
        ours, theirs = self.context.Pipe()
        arguments = (theirs, self.out, self.threads)
        process = self.context.Process(target=_serve, args=arguments, daemon=True)
        before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS",)}
        os.environ.setdefault("OMP_NUM_THREADS", str(self.threads))  # read when torch is loaded
        resource_tracker.ensure_running()  # it would unblock the signal
        # A terminal sends Ctrl-C to the new process, too, which inherits that it is blocked.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
        theirs.close()
        worker = _Worker(process, ours)
        self.workers.append(worker)
        return worker


def _serve(pipe: Connection, out: Path, threads: int) -> None:
    """Score what comes through the pipe until it is closed; runs in a process of its own."""
    scoring = asked_to_end = False

    def interrupt(*_: object) -> None:
        nonlocal asked_to_end
        asked_to_end = True
        if scoring:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, who decides
    signal.signal(signal.SIGTERM, interrupt)
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    run = Scorer(out)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            scoring = True
            if asked_to_end:  # while modules were loaded
                raise KeyboardInterrupt
            content: Any = run(task)
        except KeyboardInterrupt:
            content = Outcome(task, error=INTERRUPTED, interrupted=True)
        except Exception as error:  # a bug costs one recording, not all
            content = f"{type(error).__name__}: {error}"
        scoring = False
        pipe.send(content)


def summarise(outcomes: Sequence[Outcome], expected: int, facts: dict[str, Any]) -> dict[str, Any]:
    """The content of the summary's metrics.json: one row per recording, worst first.

    Failed recordings come first, then by mIoU, then, without labels, by temporal consistency.

    Args:
        outcomes: of the recordings that were begun.
        expected: how many were asked for.
        facts: further content.

    Raises:
        DataError: not one recording could be scored.
    """
    good = [outcome for outcome in outcomes if outcome.metrics is not None]
    if not good and outcomes:
        first = outcomes[0]
        raise DataError(
            f"none of {len(outcomes)} recordings could be scored; {first.task.name}: {first.error}"
        )
    rows = sorted((outcome.figures for outcome in outcomes), key=_badness)
    return {
        "partial": len(outcomes) < expected or any(row["partial"] for row in rows),
        "asked": expected,
        "scored": len(good),
        "failed": len(outcomes) - len(good),
        "frames": sum(row["frames"] or 0 for row in rows),
        **_pooled(good),
        "recordings": rows,
        **facts,
    }


def _badness(row: dict[str, Any]) -> tuple[int, float]:
    if row["error"] is not None:
        return 0, 0.0
    if row["miou"] is not None:
        return 1, row["miou"]
    steady = row["temporal_consistency"]
    return 2, 2.0 if steady is None else steady


def _pooled(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Scores over all labelled pixels of all recordings."""
    known = [o.metrics for o in outcomes if o.metrics and o.metrics["confusion"] is not None]
    if not known:
        return {"classes": [], "miou": None, "pixel_accuracy": None, "per_class": None}
    names = known[0]["classes"]
    confusion = np.sum([np.array(found["confusion"], np.int64) for found in known], axis=0)
    found = scores(confusion)
    return {
        "classes": names,
        "miou": defined(found.miou),
        "pixel_accuracy": defined(found.pixel_accuracy),
        "per_class": per_class(found, names),
    }
