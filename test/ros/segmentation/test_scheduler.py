"""Frame selection on a clock that the test moves by hand, and once on the real one."""

import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisenet_ros.ros.segmentation.scheduler import NANO, STALLED_S, Scheduler, _minimum


class HandClock:
    def __init__(self, start: int = 0) -> None:
        self.now = start

    def __call__(self) -> int:
        return self.now


def at_once(scheduler: Scheduler) -> list:
    return scheduler.next_batch(timeout_s=0)


@pytest.fixture
def clock():
    return HandClock()


def test_the_newest_frame_of_a_tick_wins(clock):
    scheduler = Scheduler(["a"], 10, clock, wall=False)
    assert scheduler.submit("a", 1) is False
    assert at_once(scheduler) == [("a", 1)]
    assert scheduler.submit("a", 2) is False
    assert scheduler.submit("a", 3) is True  # 2 is superseded
    assert at_once(scheduler) == []
    clock.now = NANO // 10
    assert at_once(scheduler) == [("a", 3)]
    assert at_once(scheduler) == []


def test_a_frame_that_comes_during_a_tick_does_not_wait_for_the_next(clock):
    scheduler = Scheduler(["a"], 10, clock, wall=False)
    clock.now = int(0.23 * NANO)
    assert at_once(scheduler) == []
    scheduler.submit("a", "late")
    assert at_once(scheduler) == [("a", "late")]


def test_frames_that_wait_at_a_tick_are_one_batch(clock):
    scheduler = Scheduler(["a", "b", "c"], 10, clock, wall=False)
    scheduler.submit("a", 1), scheduler.submit("b", 2), scheduler.submit("c", 3)
    assert at_once(scheduler) == [("a", 1), ("b", 2), ("c", 3)]
    scheduler.submit("c", 4), scheduler.submit("a", 5)
    clock.now = NANO // 10
    assert at_once(scheduler) == [("a", 5), ("c", 4)]


def test_a_missed_stretch_of_ticks_is_not_caught_up(clock):
    scheduler = Scheduler(["a"], 10, clock, wall=False)
    clock.now = 50 * NANO
    served = 0
    for i in range(5):
        scheduler.submit("a", i)
        served += len(at_once(scheduler))
    assert served == 1


def test_rate_zero_hands_out_every_frame(clock):
    scheduler = Scheduler(["a"], 0, clock, wall=False)
    for i in range(5):
        scheduler.submit("a", i)
        assert at_once(scheduler) == [("a", i)]


def test_a_clock_that_jumps_back_does_not_stall(clock):
    scheduler = Scheduler(["a"], 10, clock, wall=False)
    clock.now = 90 * NANO
    scheduler.submit("a", 1)
    assert at_once(scheduler)
    clock.now = 3 * NANO
    scheduler.submit("a", 2)
    assert at_once(scheduler) == [("a", 2)]
    clock.now += NANO // 10
    scheduler.submit("a", 3)
    assert at_once(scheduler) == [("a", 3)]


def test_a_clock_that_stands_serves_one_frame(clock):
    scheduler = Scheduler(["a"], 10, clock, wall=False)
    for i in range(4):
        scheduler.submit("a", i)
        at_once(scheduler)
    clock.now += NANO // 10
    assert at_once(scheduler) == [("a", 3)]


def test_a_new_rate_holds_from_now_on(clock):
    scheduler = Scheduler(["a"], 1, clock, wall=False)
    scheduler.submit("a", 1)
    assert at_once(scheduler)
    clock.now = NANO // 2
    scheduler.set_rate(100)
    scheduler.submit("a", 2)
    assert at_once(scheduler) == []  # the change itself grants no extra frame
    clock.now += NANO // 100
    assert at_once(scheduler) == [("a", 2)]


@settings(max_examples=200, deadline=None)
@given(
    rate=st.sampled_from([1.0, 7.5, 15.0, 29.97, 120.0]),
    gaps=st.lists(st.integers(0, NANO // 5), min_size=1, max_size=120),
)
def test_never_more_inferences_than_ticks_and_no_frame_twice(rate, gaps):
    clock = HandClock(1_700_000_000 * NANO)
    start = clock.now
    scheduler = Scheduler(["a"], rate, clock, wall=False)
    served: list[int] = []
    superseded = 0
    for i, gap in enumerate(gaps):
        clock.now += gap
        superseded += scheduler.submit("a", i)
        served += [frame for _, frame in at_once(scheduler)]
    clock.now += NANO
    served += [frame for _, frame in at_once(scheduler)]
    ticks = (clock.now - start) * rate / NANO + 1
    assert len(served) <= ticks + 1e-6
    assert served == sorted(set(served))
    assert len(served) + superseded == len(gaps)
    assert served[-1] == len(gaps) - 1


@settings(max_examples=100, deadline=None)
@given(
    phase=st.floats(0, 1),
    jitter=st.lists(st.floats(-0.2, 0.2), min_size=20, max_size=60),
)
def test_a_camera_at_the_nodes_own_rate_loses_no_frame(phase, jitter):
    """Frames with less than half a period of jitter, at any phase relative to the ticks."""
    clock = HandClock()
    scheduler = Scheduler(["a"], 15.0, clock, wall=False)
    period = NANO / 15
    arrivals = [(i + 1 + phase + shake) * period for i, shake in enumerate(jitter)]
    served, superseded = 0, 0
    ticks = [k * period for k in range(len(jitter) + 4)]
    for moment, arrives in sorted([(t, True) for t in arrivals] + [(t, False) for t in ticks]):
        clock.now = int(moment) + 1
        if arrives:
            superseded += scheduler.submit("a", moment)
        served += len(at_once(scheduler))
    assert superseded == 0
    assert served == len(jitter)


def test_the_worker_sleeps_until_the_tick_and_wakes_for_a_stop():
    scheduler = Scheduler(["a"], 20.0)
    scheduler.submit("a", 0)
    assert scheduler.next_batch(timeout_s=1)
    scheduler.submit("a", 1)
    assert scheduler.next_batch(timeout_s=5) == [("a", 1)]
    ended = threading.Event()

    def wait() -> None:
        assert scheduler.next_batch() == []
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    scheduler.stop()
    thread.join(5)
    assert ended.is_set() and scheduler.stopped
    assert scheduler.next_batch() == []


def test_next_batch_times_out():
    scheduler: Scheduler = Scheduler(["a"], 15.0)
    before = time.monotonic()
    assert scheduler.next_batch(timeout_s=0.05) == []
    assert time.monotonic() - before >= 0.05


def test_the_last_frame_is_served_though_sim_time_has_stopped():
    scheduler: Scheduler[int] = Scheduler(["a"], 1.0, now=lambda: 5 * NANO, wall=False)
    scheduler.submit("a", 1)
    assert scheduler.next_batch(timeout_s=5.0) == [("a", 1)]
    scheduler.submit("a", 2)  # in the same tick, which will not end
    assert scheduler.next_batch(timeout_s=5.0) == [("a", 2)]


def test_a_rate_of_next_to_nothing_keeps_no_thread_waiting_for_ever():
    scheduler: Scheduler[int] = Scheduler(["a"], 1e-11)
    scheduler.submit("a", 1)
    assert scheduler.next_batch(timeout_s=5.0) == [("a", 1)]
    scheduler.submit("a", 2)
    assert scheduler.next_batch(timeout_s=0.05) == []


def test_drained_frames_are_named_and_gone():
    scheduler: Scheduler[int] = Scheduler(["a", "b"], 0.0)
    scheduler.submit("b", 1)
    assert scheduler.drain() == ["b"]
    assert scheduler.next_batch(timeout_s=0.0) == []


def test_a_clock_that_stands_serves_the_last_frame_but_none_before(clock, monkeypatch):
    """Wall time moves by hand, too: frames every 0.2 s under a clock that has long stopped."""
    wall = [100.0]
    monkeypatch.setattr("bisenet_ros.ros.segmentation.scheduler.time.monotonic", lambda: wall[0])
    scheduler = Scheduler(["a"], 10, clock, wall=False)
    scheduler.submit("a", 0)
    assert at_once(scheduler) == [("a", 0)]
    wall[0] += 60
    for frame in range(1, 9):
        scheduler.submit("a", frame)
        assert at_once(scheduler) == []
        wall[0] += 0.2
    assert at_once(scheduler) == []
    wall[0] += 0.3
    assert at_once(scheduler) == [("a", 8)]
    assert at_once(scheduler) == []


def test_the_worker_sleeps_until_the_next_tick_and_no_longer(clock):
    """The wait is computed, not measured: machines are shared."""
    clock.now = 7 * NANO
    scheduler = Scheduler(["a", "b"], 10, clock)  # by default the clock runs by itself
    assert scheduler._until_tick() is None  # nothing is pending: only a frame ends the wait
    scheduler.submit("a", 1)
    assert scheduler._until_tick() == pytest.approx(0.1)
    clock.now += NANO // 4
    assert scheduler._until_tick() == pytest.approx(0.05)
    clock.now += NANO // 20 - 1
    assert 0 <= scheduler._until_tick() < 1e-6
    clock.now += 10
    assert scheduler._until_tick() == pytest.approx(0.1, abs=1e-6)
    every = Scheduler(["a"], 0, clock)
    every.submit("a", 1)
    assert every._until_tick() is None
    simulated = Scheduler(["a"], 10, clock, wall=False)
    simulated.submit("a", 1)
    assert simulated._until_tick() == STALLED_S


@pytest.mark.parametrize(
    ("rate", "timeout_s", "wait_s"),
    [(10, 0.75, 0.1), (10, 0.02, 0.02), (0.5, 5.0, 1.0), (10, None, 0.1)],
)
def test_a_wait_ends_at_the_tick_the_timeout_or_after_a_second(
    clock, monkeypatch, rate, timeout_s, wait_s
):
    scheduler = Scheduler(["a"], rate, clock)
    scheduler.submit("a", 1)
    assert at_once(scheduler) == [("a", 1)]
    scheduler.submit("a", 2)
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        scheduler.stop()

    monkeypatch.setattr(scheduler._changed, "wait", wait)
    monkeypatch.setattr("bisenet_ros.ros.segmentation.scheduler.time.monotonic", lambda: 7.0)
    assert scheduler.next_batch(timeout_s) == []
    assert waits == [pytest.approx(wait_s)]


def test_the_shortest_of_all_waits_is_taken():
    assert _minimum(None, 3.0, 2.0) == 2.0
    assert _minimum(0.0, None, 1.0) == 0.0


def test_a_new_rate_lets_a_first_frame_through_and_a_second_wait(clock):
    scheduler = Scheduler(["a", "b"], 10, clock, wall=False)
    scheduler.submit("a", 1)
    assert at_once(scheduler) == [("a", 1)]
    scheduler.set_rate(5)
    scheduler.submit("a", 2)
    scheduler.submit("b", 3)
    assert at_once(scheduler) == [("b", 3)]  # a was served in what counts as the first tick
    clock.now += NANO // 5
    assert at_once(scheduler) == [("a", 2)]


def test_stopping_is_known_and_final(clock):
    scheduler = Scheduler(["a"], 10, clock)
    assert scheduler.stopped is False
    scheduler.submit("a", 1)
    scheduler.stop()
    assert scheduler.stopped is True and at_once(scheduler) == []
    assert scheduler.next_batch() == []  # at once, though no time is given


def test_draining_names_the_cameras_whose_frames_are_dropped(clock):
    scheduler = Scheduler(["a", "b", "c"], 10, clock)
    scheduler.submit("a", 1)
    scheduler.submit("c", 2)
    assert scheduler.drain() == ["a", "c"]
    assert scheduler.drain() == [] and at_once(scheduler) == []


def test_only_a_clock_that_stands_still_hands_out_a_frame_before_its_tick(clock, monkeypatch):
    wall = HandClock()
    fake = SimpleNamespace(monotonic=wall, monotonic_ns=lambda: wall.now * NANO)
    monkeypatch.setattr("bisenet_ros.ros.segmentation.scheduler.time", fake)
    simulated, real = Scheduler(["a"], 1, clock, wall=False), Scheduler(["a"], 1, clock)
    for scheduler in (simulated, real):
        scheduler.submit("a", 1)
        assert at_once(scheduler) == [("a", 1)]
        scheduler.submit("a", 2)
    wall.now += 2 * STALLED_S
    clock.now += NANO // 10  # it runs, slowly: the frame's tick will come
    assert at_once(simulated) == at_once(real) == []
    wall.now += 2 * STALLED_S
    assert at_once(simulated) == [("a", 2)]  # the bag has ended
    assert at_once(real) == []
