"""The one thread that computes: takes due frames, segments them as a batch, publishes."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, wait
from dataclasses import dataclass
from typing import Any

from bisenet_ros.errors import DataError
from bisenet_ros.inference import Result, Segmenter
from bisenet_ros.inference.image_encodings import Pixels
from bisenet_ros.ros import messages
from bisenet_ros.ros.parameters.definition import Parameters
from bisenet_ros.ros.segmentation.camera import Camera, ReceivedFrame
from bisenet_ros.ros.segmentation.scheduler import Scheduler


@dataclass(frozen=True)
class Ready:
    """A frame whose pixels are at hand."""

    camera: Camera
    frame: ReceivedFrame
    pixels: Pixels
    decode_ms: float


class Worker:
    """Runs until :meth:`stop`; an error inside the model drops that batch, not the thread.

    Args:
        scheduler: hands out frames.
        cameras: by name.
        segmenter: called for the model to use, at each batch.
        parameters: called for the parameters in force, at each batch.
        now: seconds on the node's clock.
        done: told the seconds that each batch took, from its frames to their publishing.
        logger: of the node.
        pool: of one thread, which it runs in. The thread outlives it, because those that torch
            starts for its work, and their memory, come and go with the thread that asked for them.
    """

    def __init__(
        self,
        scheduler: Scheduler[ReceivedFrame],
        cameras: dict[str, Camera],
        segmenter: Callable[[], Segmenter],
        parameters: Callable[[], Parameters],
        now: Callable[[], float],
        done: Callable[[float], None],
        logger: Any,
        pool: Executor,
    ) -> None:
        self.scheduler, self.cameras = scheduler, cameras
        self.segmenter, self.parameters = segmenter, parameters
        self.now, self.done, self.logger = now, done, logger
        self.failures = 0  # in a row
        self.last_failure = ""
        self._running = pool.submit(self._run)

    def stop(self, patience: float = 1.0) -> bool:
        """Finish the batch in hand and end; False if it is still busy after ``patience`` s."""
        self.scheduler.stop()
        wait([self._running], patience)
        return self._running.done()

    def _run(self) -> None:
        while batch := self.scheduler.next_batch():
            started = time.perf_counter()
            ready = [r for camera, frame in batch if (r := self._decode(camera, frame))]
            if ready:
                self._serve(ready, started)

    def _decode(self, camera: str, frame: ReceivedFrame) -> Ready | None:
        started = time.perf_counter()
        try:
            pixels = messages.to_pixels(frame.message)
        except DataError as error:
            self.cameras[camera].reject(str(error))
            return None
        except Exception as error:  # a decoder that gives up in its own way
            self.cameras[camera].reject(f"{type(error).__name__}: {error}".splitlines()[0])
            return None
        return Ready(self.cameras[camera], frame, pixels, 1e3 * (time.perf_counter() - started))

    def _serve(self, ready: list[Ready], started: float) -> None:
        parameters = self.parameters()
        try:
            results = self.segmenter()(
                [r.pixels.image for r in ready],
                [r.pixels.order for r in ready],
                [r.camera.requested_outputs(parameters) for r in ready],
            )
            for one, result in zip(ready, results, strict=True):
                self._publish(one, result, parameters, started)
            self.failures = 0
            self.done(time.perf_counter() - started)
        except Exception as error:  # whatever the model raises, the robot keeps its node
            self._failed(ready, error)

    def _publish(self, one: Ready, result: Result, parameters: Parameters, started: float) -> None:
        before = time.perf_counter()
        one.camera.publish(one.frame, result, parameters)
        after, now = time.perf_counter(), self.now()
        stages = {
            "wait": 1e3 * (started - one.frame.received),
            "decode": one.decode_ms,
            "preprocess": result.times.preprocess,
            "forward": result.times.forward,
            "postprocess": result.times.postprocess,
            "publish": 1e3 * (after - before),
        }
        late = parameters.rate > 0 and after - started > 1 / parameters.rate
        one.camera.statistics.published(now, age(one.frame, now), stages, late)

    def _failed(self, ready: list[Ready], error: Exception) -> None:
        self.failures += 1
        self.last_failure = f"{type(error).__name__}: {error}".splitlines()[0]
        for one in ready:
            one.camera.statistics.failed()
        if not self.scheduler.stopped:
            self.logger.error(
                f"inference failed ({self.failures} in a row), {len(ready)} frames dropped: "
                f"{self.last_failure}",
                throttle_duration_sec=1.0,
            )
            self.logger.debug(traceback.format_exc())


def age(frame: ReceivedFrame, now: float) -> float | None:
    """Seconds from the frame's stamp to ``now``; None for a camera that does not stamp."""
    stamp = frame.message.header.stamp
    seconds = stamp.sec + stamp.nanosec * 1e-9
    return now - seconds if seconds else None
