"""The inference thread with a model whose batches are computed in the background, as on a GPU."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from rig import image

from bisenet_ros.inference.result import Result, Times
from bisenet_ros.ros.parameters.definition import Parameters
from bisenet_ros.ros.segmentation.camera import ReceivedFrame
from bisenet_ros.ros.segmentation.pace import SEEN, Pace
from bisenet_ros.ros.segmentation.scheduler import Scheduler
from bisenet_ros.ros.segmentation.worker import Worker

COMPUTING_S, LIMIT_S = 0.03, 20.0


class Gpu:
    """Computes one batch after the other; a mask is filled with its image's first byte."""

    overlaps = True

    def __init__(self) -> None:
        self.lane = ThreadPoolExecutor(1)
        self.log: list[tuple[str, int]] = []
        self.fails: set[int] = set()
        self.most = self.under_way = 0

    def __call__(self, images, orders, requests):
        self.log.append(("call", int(images[0].flat[0])))
        return self._compute([image.copy() for image in images])

    def submit(self, images, orders, requests):
        number = int(images[0].flat[0])
        self.log.append(("submit", number))
        if number in self.fails and number % 2:
            raise RuntimeError(f"no submit of {number}")
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        return number, self.lane.submit(self._compute, [image.copy() for image in images])

    def collect(self, ticket):
        number, running = ticket
        self.under_way -= 1
        self.log.append(("collect", number))
        results = running.result()
        if number in self.fails:
            raise RuntimeError(f"no collect of {number}")
        return results

    def _compute(self, images):
        time.sleep(COMPUTING_S)
        times = Times(0.0, 1e3 * COMPUTING_S, 0.0)
        return [Result(np.full((2, 2), i.flat[0], np.uint8), None, None, times) for i in images]


class Camera:
    """Notes what is published and what fails."""

    def __init__(self) -> None:
        self.published: list[tuple[int, int]] = []  # stamp, id in the mask
        self.failed = 0
        self.statistics = SimpleNamespace(published=lambda *_: None, failed=self._fail)

    def _fail(self) -> None:
        self.failed += 1

    def requested_outputs(self, parameters, label_map):
        return None

    def publish(self, frame, overlay):
        self.published.append((frame.header.stamp.nanosec, int(frame.mask[0, 0])))

    def reject(self, reason):
        raise AssertionError(reason)


class Rig:
    """A worker of one camera."""

    def __init__(self, gpu: Gpu, rate: float = 0.0) -> None:
        self.gpu, self.camera = gpu, Camera()
        self.scheduler: Scheduler[ReceivedFrame] = Scheduler(["a"], rate)
        self.models = SimpleNamespace(current=gpu, label_map=None, labels=None)
        self.errors: list[str] = []
        logger = SimpleNamespace(error=lambda text, **_: self.errors.append(text), debug=id)
        self.worker = Worker(
            self.scheduler,
            {"a": self.camera},  # type: ignore[dict-item]
            lambda: self.models,  # type: ignore[arg-type, return-value]
            lambda: Parameters(rate=rate),
            time.time,
            lambda _: None,
            logger,
            ThreadPoolExecutor(1),
        )

    def send(self, number: int) -> None:
        message = image(0, 1)
        message.header.stamp.nanosec = 1000 + number
        message.data[0] = number
        self.scheduler.submit("a", ReceivedFrame(message, time.perf_counter()))

    def until(self, what) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not what():
            assert time.monotonic() < deadline, (self.gpu.log, self.errors)
            time.sleep(0.001)

    def drive(self, numbers) -> None:
        """Send a frame whenever the last one was taken, so that none is superseded."""
        for number in numbers:
            self.until(lambda: self.scheduler._slots["a"].frame is None)
            self.send(number)
        self.until(lambda: len(self.camera.published) + self.camera.failed >= len(numbers))

    def close(self) -> None:
        assert self.worker.stop(5.0)


@pytest.fixture
def gpu():
    made = Gpu()
    yield made
    made.lane.shutdown()


def test_frames_overlap_and_are_published_in_order_under_their_own_stamps(gpu):
    rig = Rig(gpu)
    rig.drive(range(1, 41))
    rig.close()
    assert rig.camera.published == [(1000 + n, n) for n in range(1, 41)]
    assert {kind for kind, _ in gpu.log} == {"submit", "collect"} and gpu.most == 2
    early = [
        i for i in range(2, 41) if gpu.log.index(("submit", i)) < gpu.log.index(("collect", i - 1))
    ]
    assert early  # submitted while the one before was computed


def test_at_a_rate_that_one_at_a_time_can_keep_nothing_is_under_way_while_another_waits(gpu):
    rig = Rig(gpu, rate=5.0)
    for number in range(1, 5):
        rig.send(number)
        rig.until(lambda: len(rig.camera.published) == number)  # noqa: B023
    rig.close()
    assert [kind for kind, _ in gpu.log] == ["call"] * 4


def test_models_that_do_not_overlap_are_called_one_batch_at_a_time(gpu):
    gpu.overlaps = False
    rig = Rig(gpu)
    rig.drive(range(1, 8))
    rig.close()
    assert gpu.log == [("call", n) for n in range(1, 8)]


def test_a_batch_that_fails_costs_its_own_frame_alone(gpu):
    gpu.fails = {11, 14, 20, 21}  # odd ones in submit, even ones in collect
    rig = Rig(gpu)
    rig.drive(range(1, 31))
    rig.close()
    assert [n for _, n in rig.camera.published] == [n for n in range(1, 31) if n not in gpu.fails]
    assert rig.camera.failed == 4 and rig.worker.failures == 0
    assert "no collect of 20" in " ".join(rig.errors)


def test_a_model_swapped_in_publishes_after_what_is_under_way(gpu):
    rig = Rig(gpu)
    rig.drive(range(1, 11))
    other = Gpu()
    other.overlaps = False
    rig.until(lambda: rig.scheduler._slots["a"].frame is None)
    rig.send(11)
    rig.until(lambda: ("submit", 11) in gpu.log)
    rig.models.current = other
    rig.send(12)
    rig.until(lambda: len(rig.camera.published) == 12)
    rig.close()
    assert [n for _, n in rig.camera.published] == list(range(1, 13))
    assert other.log == [("call", 12)]


def test_stopping_publishes_what_is_under_way(gpu):
    rig = Rig(gpu)
    rig.drive(range(1, 11))
    rig.send(11)
    rig.until(lambda: ("submit", 11) in gpu.log)
    rig.close()
    assert rig.camera.published[-1] == (1011, 11) and not gpu.under_way


def test_there_is_time_only_if_preparing_ends_before_the_gpu_does():
    pace = Pace()
    assert pace.spare_s(0.0) == 0.0
    for _ in range(SEEN):
        pace.add(0.010, 0.050)
    assert pace.spare_s(0.0) == pytest.approx(0.037)
    assert pace.spare_s(0.030) == pytest.approx(0.007)
    assert pace.spare_s(0.040) == 0.0
    for _ in range(9):
        pace.add(0.010, 0.500)  # looked at late: still as quick as before, as far as is known
    pace.add(0.010, 0.050)
    assert pace.spare_s(0.0) == pytest.approx(0.037)


def test_only_a_rate_that_cannot_be_kept_is_hurried():
    pace = Pace()
    assert pace.hurried(0.0) and not pace.hurried(30.0)
    for _ in range(5):
        pace.took(0.040)
    assert pace.hurried(30.0) and not pace.hurried(20.0)
