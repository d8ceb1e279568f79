"""Run a model over a recording and write what it sees: masks, overlays, a video, a bag."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisenet_ros.errors import DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.codec import encode_jpeg, encode_png
from bisenet_ros.recordings.frame_stream import FrameSource, RecordedFrame, nothing_to_read
from bisenet_ros.recordings.prediction_bag import PredictionBag
from bisenet_ros.recordings.prefetch import prefetch
from bisenet_ros.recordings.sources import DEFAULT_RATE
from bisenet_ros.replay.outputs import cannot_write
from bisenet_ros.replay.predictor import Prediction, Predictor
from bisenet_ros.replay.prelabels import PreLabels
from bisenet_ros.replay.score import Run, ScoreOptions, predict_frames
from bisenet_ros.replay.side_by_side import Models
from bisenet_ros.report.film import Film
from bisenet_ros.report.rerun import RerunLog, saved
from bisenet_ros.system.atomic_files import write_bytes

WRITING = 2  # threads that encode and write images
WAITING = 4  # frames that the model is ahead of them
QUALITY = 92  # of JPEG overlays
MASKS, OVERLAYS, FILM, BAG = "masks", "overlays", "overlay.mp4", "predictions"
RRD = "predictions.rrd"

OnFrame = Callable[[RecordedFrame, Prediction], None]
Named = tuple[str, RecordedFrame, Prediction]


@dataclass(frozen=True)
class Wanted:
    """What is written: PNG class ids, JPEG overlays, an MP4 of the overlays, a rosbag2,
    labels, a Rerun file.

    ``labels`` is the format of an annotation tool, see :class:`.prelabels.PreLabels`.
    """

    masks: bool = False
    overlays: bool = False
    video: bool = False
    bag: bool = False
    labels: str = ""
    rrd: bool = False

    @property
    def pictures(self) -> bool:
        """Whether overlays have to be built."""
        return self.overlays or self.video or self.bag

    def paths(self, out: Path) -> list[Path]:
        """Where they are, in ``out``."""
        names = {
            MASKS: self.masks,
            OVERLAYS: self.overlays,
            FILM: self.video,
            BAG: self.bag,
            self.labels: bool(self.labels),
            RRD: self.rrd,
        }
        return [out / name for name, asked in names.items() if asked]


def predict(
    source: FrameSource,
    predictor: Predictor,
    out: Path,
    wanted: Wanted,
    options: ScoreOptions,
    on_frame: OnFrame | None = None,
    on_progress: Callable[[int], None] | None = None,
    threshold: float = 0.0,
) -> Run:
    """Run the model over a recording and write what is wanted into ``out``.

    Ctrl-C ends the run: files written until then stay, the video and the bag end there, and the
    run is marked as partial.

    Args:
        source: the recording.
        predictor: the model.
        out: an existing folder.
        wanted: what to write.
        options: how; ``overlays`` is set as needed.
        on_frame: called with each frame and what the model made of it, in order.
        on_progress: called with the number of frames done, after each.
        threshold: the confidence below which pixels are 255, as written into the bag.

    Raises:
        DataError: not one frame can be read, or a file cannot be written.
        KeyboardInterrupt: interrupted before the first frame.
    """
    models = Models([predictor], source, options.selection)
    begun, done, partial = time.perf_counter(), 0, False
    frames = _named(predict_frames(source, models, options))
    write = _Writer(out, wanted)
    with contextlib.ExitStack() as stack:
        film, bag, labels = _opened(stack, source, predictor.labels, out, wanted, threshold)
        log = None
        if wanted.rrd:
            log = RerunLog(stack.enter_context(saved(out / RRD)), predictor.labels)
        try:
            with closing(prefetch(frames, write, WRITING, WAITING)) as results:
                for name, frame, found in results:
                    if labels is not None:
                        labels.add(name, frame, found.mask)
                    if film is not None and found.overlay is not None:
                        film.add(frame.stamp_ns, found.overlay)
                    if bag is not None:
                        bag.add(frame, found.mask, found.confidence, found.overlay)
                    if log is not None:
                        log.add(*_logged(frame, found))
                    if on_frame is not None:
                        on_frame(frame, found)
                    done += 1
                    if on_progress is not None:
                        on_progress(done)
        except KeyboardInterrupt:
            partial = True
        except DataError as error:
            if not (source.live and done):
                raise
            source.notes.warn(str(error))  # a camera was unplugged
            partial = True
        if not done:  # inside the block, so that no empty video or bag is left
            raise KeyboardInterrupt if partial else nothing_to_read(source)
    seconds = time.perf_counter() - begun
    facts, notes = source.facts(), source.notes.figures()
    return Run(facts, notes, seconds, done, partial, len(models.copies))


def _logged(frame: RecordedFrame, found: Prediction) -> tuple[Any, ...]:
    return (
        frame.index,
        frame.stamp_ns,
        frame.image,
        frame.order,
        found.mask,
        found.confidence,
    )


def _opened(
    stack: contextlib.ExitStack,
    source: FrameSource,
    labels: LabelSet,
    out: Path,
    wanted: Wanted,
    threshold: float,
) -> tuple[Film | None, PredictionBag | None, PreLabels | None]:
    film = bag = prelabels = None
    if wanted.labels:
        prelabels = stack.enter_context(PreLabels(out / wanted.labels, wanted.labels, labels))
    if wanted.video:
        film = stack.enter_context(Film(out / FILM, frame_rate(source)))
    if wanted.bag:
        bag = stack.enter_context(PredictionBag(out / BAG, labels, threshold))
    return film, bag, prelabels


def frame_rate(source: FrameSource) -> float:
    """Frames per second of a recording, as far as it is known."""
    facts: dict[str, Any] = source.facts()
    return float(facts.get("rate_hz") or 0) or DEFAULT_RATE


def _named(
    frames: Generator[tuple[RecordedFrame, list[Prediction]], None, None],
) -> Generator[Named, None, None]:
    """The frames with file names: those of image files, else the frame's number."""
    used: set[str] = set()
    with closing(frames):
        for frame, (found,) in frames:
            name = Path(frame.name).stem if frame.name else f"{frame.index:06d}"
            if name in used:  # a.jpg and a.png, or files of several folders
                name = f"{name}-{frame.index}"
            if frame.name:
                used.add(name)
            yield name, frame, found


class _Writer:
    """Encodes and writes the images of one frame; safe in several threads."""

    def __init__(self, out: Path, wanted: Wanted) -> None:
        self.out = out
        self.wanted = wanted

    def __call__(self, item: Named) -> Named:
        name, _, found = item
        if self.wanted.masks:
            self._write(self.out / MASKS / f"{name}.png", encode_png(found.mask))
        if self.wanted.overlays and found.overlay is not None:
            content = encode_jpeg(found.overlay, QUALITY)
            self._write(self.out / OVERLAYS / f"{name}.jpg", content)
        return item

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(exist_ok=True)
            write_bytes(path, content)
        except OSError as error:
            raise cannot_write(path, error) from error
