"""Order, bounds, errors and endings of work done ahead."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisenet_ros.recordings.prefetch import prefetch


def threads() -> int:
    return sum(thread.name.startswith("prefetch") for thread in threading.enumerate())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 4), st.integers(1, 5))
def test_results_come_in_order_whatever_takes_long(delays, workers, ahead):
    def work(item: tuple[int, int]) -> int:
        time.sleep(item[1] / 2000)
        return item[0]

    found = list(prefetch(enumerate(delays), work, workers, ahead))
    assert found == list(range(len(delays)))
    assert threads() == 0


@pytest.mark.parametrize("ahead", [1, 3, 8])
def test_no_more_is_in_hand_than_allowed(ahead: int):
    read, most = 0, 0

    def source():
        nonlocal read
        for item in range(60):
            read += 1
            yield item

    for taken, _ in enumerate(prefetch(source(), lambda item: item, 3, ahead), 1):
        time.sleep(0.001)
        most = max(most, read - taken)
    assert most <= ahead


def test_work_goes_on_while_the_caller_is_busy():
    started = threading.Semaphore(0)

    def work(item: int) -> int:
        started.release()
        return item

    results = prefetch(iter(range(10)), work, workers=2, ahead=5)
    next(results)
    for _ in range(6):  # the one taken, and five ahead
        assert started.acquire(timeout=10)
    results.close()


def test_an_error_of_the_work_comes_where_its_item_would():
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    results = prefetch(iter(range(10)), work)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert threads() == 0


def test_an_error_of_the_source_comes_after_what_was_read():
    def source():
        yield from range(3)
        raise OSError("unplugged")

    results = prefetch(source(), lambda item: item)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="unplugged"):
        next(results)


def test_leaving_early_closes_the_source_and_ends_the_threads():
    closed = threading.Event()

    def source():
        try:
            yield from range(10**9)
        finally:
            closed.set()

    results = prefetch(source(), lambda item: item, workers=3, ahead=4)
    assert next(results) == 0
    results.close()
    assert closed.is_set()
    assert threads() == 0


def test_results_are_let_go_of():
    class Thing:
        alive = 0

        def __init__(self) -> None:
            Thing.alive += 1

        def __del__(self) -> None:
            Thing.alive -= 1

    most = 0
    for thing in prefetch(iter(range(40)), lambda _: Thing(), 2, 3):
        most = max(most, Thing.alive)
        del thing
    assert most <= 3 + 1
    assert Thing.alive == 0
