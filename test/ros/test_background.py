"""Work in a thread of low priority."""

import os
import threading

import pytest

from bisenet_ros.ros.background import NICENESS, in_background


def priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_it_runs_at_low_priority_and_hands_back_what_it_made():
    before = priority()
    assert in_background(priority) == min(19, max(before, NICENESS))
    assert priority() == before


def test_it_raises_what_the_work_raised():
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 / 0)
