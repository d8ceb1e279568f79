"""The inference thread: takes due frames, segments them as a batch, publishes the results."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, wait
from dataclasses import dataclass, field
from typing import Any

from bisenet_ros.errors import DataError, NonFiniteOutput
from bisenet_ros.inference import Result, Segmenter
from bisenet_ros.inference.image_encodings import Pixels
from bisenet_ros.ros import messages
from bisenet_ros.ros.parameters.definition import Parameters
from bisenet_ros.ros.segmentation.adaptive_resolution import Models
from bisenet_ros.ros.segmentation.camera import Camera, ReceivedFrame
from bisenet_ros.ros.segmentation.pace import Pace
from bisenet_ros.ros.segmentation.scheduler import Scheduler
from bisenet_ros.ros.segmentation.segmented_frame import SegmentedFrame

RESTART_S = 0.2  # between a failure of the thread itself and its next attempt


@dataclass(frozen=True, eq=False)
class DecodedFrame:
    """A frame and its pixels."""

    camera: Camera
    frame: ReceivedFrame
    pixels: Pixels
    decode_ms: float


@dataclass(frozen=True, eq=False)
class Flight:
    """A batch that the GPU computes.

    Attributes:
        ticket: of the segmenter.
        segmenter, models, parameters: as they were when it was started.
        decoded: its frames.
        started: when they were taken, by ``time.perf_counter``.
        submitted: when it was handed to the GPU.
    """

    ticket: Any
    segmenter: Segmenter
    decoded: list[DecodedFrame]
    models: Models
    parameters: Parameters
    started: float
    submitted: float = field(default_factory=time.perf_counter)


class Worker:
    """Runs until :meth:`stop`; an error inside the model drops that batch, not the thread.

    Args:
        scheduler: hands out frames.
        cameras: by name.
        models: called once per batch; returns the model to use and its label map.
        parameters: called once per batch; returns the current parameters.
        now: seconds on the node's clock.
        done: called with the duration of each batch in seconds, publishing included.
        logger: of the node.
        pool: the single-thread pool it runs in. Its thread outlives the worker, because torch ties
            its own worker threads, and their memory, to the calling thread.
    """

    def __init__(
        self,
        scheduler: Scheduler[ReceivedFrame],
        cameras: dict[str, Camera],
        models: Callable[[], Models],
        parameters: Callable[[], Parameters],
        now: Callable[[], float],
        done: Callable[[float], None],
        logger: Any,
        pool: Executor,
    ) -> None:
        self.scheduler, self.cameras = scheduler, cameras
        self.models, self.parameters = models, parameters
        self.now, self.done, self.logger = now, done, logger
        self.failures = 0  # consecutive
        self.last_failure = ""
        self.pace = Pace()
        self._flights: deque[Flight] = deque()  # at most two
        self._landed = 0.0  # when the GPU was last seen to be done with a batch
        self._idle_since = 0.0  # when the last batch was published
        self._running = pool.submit(self._run)

    def stop(self, timeout_s: float = 1.0) -> bool:
        """Finish the current batch and end; False if still busy after ``timeout_s`` seconds."""
        self.scheduler.stop()
        wait([self._running], timeout_s)
        return self._running.done()

    @property
    def alive(self) -> bool:
        """Whether its thread is still running."""
        return not self._running.done()

    def _run(self) -> None:
        while not self.scheduler.stopped:
            try:
                self._work()
            except Exception as error:  # a bug outside the model must not end the thread silently
                self._note_failure(error)
                self.logger.error(f"the inference thread failed and restarts: {self.last_failure}")
                self.logger.debug(traceback.format_exc())
                time.sleep(RESTART_S)

    def _work(self) -> None:
        try:
            while True:
                # While the GPU computes one batch, the next one is prepared, if there is time.
                first = self._flights[0] if self._flights else None
                timeout = None if first is None else self._spare_s(first)
                batch = self.scheduler.next_batch(timeout) if timeout != 0 else []
                if batch:
                    self._take_off(batch)
                elif first is None:
                    return
                if first is not None and first in self._flights:
                    self._land()
        finally:
            while self._flights:
                self._land()

    def _take_off(self, batch: list[tuple[str, ReceivedFrame]]) -> None:
        """Decode a batch, and start it on the GPU or segment it."""
        started = time.perf_counter()
        decoded = [d for camera, frame in batch if (d := self._decode(camera, frame))]
        if not decoded:
            return
        parameters = self.parameters()
        try:
            models = self.models()
            segmenter = models.current
            given = (
                [d.pixels.image for d in decoded],
                [d.pixels.order for d in decoded],
                [d.camera.requested_outputs(parameters, models.label_map) for d in decoded],
            )
            if segmenter.overlaps and self.pace.hurried(parameters.rate):
                ticket = segmenter.submit(*given)
                flight = Flight(ticket, segmenter, decoded, models, parameters, started)
                self._flights.append(flight)
                return
            while self._flights:  # masks are published in the order of their images
                self._land()
            results = segmenter(*given)
            self._publish_all(decoded, results, models, parameters, started)
        except Exception as error:  # whatever the model raises, the node must keep running
            self._failed(decoded, error)

    def _land(self) -> None:
        """Wait for the first batch under way and publish it."""
        flight = self._flights.popleft()
        try:
            results = flight.segmenter.collect(flight.ticket)
            now = time.perf_counter()
            begun = max(flight.submitted, self._landed)
            self._landed = now
            self.pace.add(flight.submitted - flight.started, now - begun)
            self._publish_all(
                flight.decoded, results, flight.models, flight.parameters, flight.started
            )
        except Exception as error:  # as in _take_off
            self._failed(flight.decoded, error)

    def _spare_s(self, flight: Flight) -> float:
        """Seconds for which another batch may be waited for while this one is computed."""
        begun = max(flight.submitted, self._landed)
        return self.pace.spare_s(time.perf_counter() - begun)

    def _decode(self, camera: str, frame: ReceivedFrame) -> DecodedFrame | None:
        started = time.perf_counter()
        try:
            pixels = messages.to_pixels(frame.message)
        except DataError as error:
            self.cameras[camera].reject(str(error))
            return None
        except Exception as error:  # a decoder may raise anything
            self.cameras[camera].reject(f"{type(error).__name__}: {error}".splitlines()[0])
            return None
        decode_ms = 1e3 * (time.perf_counter() - started)
        return DecodedFrame(self.cameras[camera], frame, pixels, decode_ms)

    def _publish_all(
        self,
        decoded: list[DecodedFrame],
        results: list[Result],
        models: Models,
        parameters: Parameters,
        started: float,
    ) -> None:
        for item, result in zip(tuple(decoded), results, strict=True):
            self._publish(item, result, models, parameters, started)
            decoded.remove(item)
        self.failures = 0
        seconds = time.perf_counter() - max(started, self._idle_since)
        self._idle_since = time.perf_counter()
        self.pace.took(seconds)
        self.done(seconds)

    def _publish(
        self,
        item: DecodedFrame,
        result: Result,
        models: Models,
        parameters: Parameters,
        started: float,
    ) -> None:
        before = time.perf_counter()
        header = item.frame.message.header
        frame = SegmentedFrame(
            header, item.pixels, result.mask, result.confidence, models.labels, parameters
        )
        item.camera.publish(frame, result.overlay)
        after, now = time.perf_counter(), self.now()
        stages = {
            "wait": 1e3 * (started - item.frame.received),
            "decode": item.decode_ms,
            "preprocess": result.times.preprocess,
            "forward": result.times.forward,
            "postprocess": result.times.postprocess,
            "publish": 1e3 * (after - before),
        }
        late = parameters.rate > 0 and after - started > 1 / parameters.rate
        item.camera.statistics.published(now, age(item.frame, now), stages, late)

    def _failed(self, decoded: list[DecodedFrame], error: Exception) -> None:
        self._note_failure(error)
        if isinstance(error, NonFiniteOutput):  # the next frame will be no better
            self.failures = max(self.failures, self.parameters().max_failures)
        for item in decoded:
            item.camera.statistics.failed()
        if not self.scheduler.stopped:
            self.logger.error(
                f"inference failed ({self.failures} in a row), {len(decoded)} frames dropped: "
                f"{self.last_failure}",
                throttle_duration_sec=1.0,
            )
            self.logger.debug(traceback.format_exc())

    def _note_failure(self, error: Exception) -> None:
        self.failures += 1
        self.last_failure = f"{type(error).__name__}: {error}".splitlines()[0]


def age(frame: ReceivedFrame, now: float) -> float | None:
    """Seconds from the frame's stamp to ``now``; None if the camera sets no stamp.

    Nor is there an age while ``now`` is 0, as it is under sim time before the first /clock.
    """
    seconds = messages.stamp_ns(frame.message.header.stamp) * 1e-9
    return now - seconds if seconds and now else None
