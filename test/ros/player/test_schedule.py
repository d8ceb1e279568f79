import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisenet_ros.ros.player.schedule import MAX_SHIFTS, Schedule

S = 10**9
WALL = 1_800_000_000 * S


class Clocks:
    """A monotonic clock that tests move, and a wall clock alongside."""

    def __init__(self) -> None:
        self.time = 5 * S

    def now(self) -> int:
        return self.time

    def wall(self) -> int:
        return WALL + self.time


def schedule(clocks: Clocks, rate: float | None = None, fresh: bool = True) -> Schedule:
    return Schedule(rate, fresh, S // 15, now=clocks.now, wall=clocks.wall)


@given(st.lists(st.integers(1, 10 * S), max_size=30), st.booleans())
def test_recorded_intervals_are_kept_exactly(gaps: list[int], fresh: bool):
    clocks = Clocks()
    plan = schedule(clocks, fresh=fresh)
    recorded = 100 * S
    first = plan.due(recorded)
    assert first.at_ns == 5 * S
    start = recorded
    for gap in gaps:
        recorded += gap
        due = plan.due(recorded)
        assert due.at_ns - first.at_ns == recorded - start
        assert due.stamp_ns == (WALL + due.at_ns if fresh else recorded)
        assert due.late_ns == 0
        clocks.time = due.at_ns


def test_a_factor_scales_recorded_times_but_not_stamps():
    clocks = Clocks()
    plan = Schedule(None, False, S // 15, now=clocks.now, wall=clocks.wall, factor=4.0)
    for recorded in (0, S, 3 * S, 3 * S + 1000):
        due = plan.due(recorded)
        assert due.at_ns == 5 * S + recorded // 4 and due.stamp_ns == recorded
        clocks.time = due.at_ns
    back = plan.due(0)  # the source restarts: one period after, which is scaled as well
    assert back.at_ns == 5 * S + (3 * S + 1000) // 4 + 250


@pytest.mark.parametrize("rate", [0.3, 15.0, 29.97, 999.0])
def test_a_rate_does_not_drift(rate: float):
    clocks = Clocks()
    plan = schedule(clocks, rate)
    for index in range(2000):
        due = plan.due(index)  # what was recorded does not matter
        assert due.at_ns == 5 * S + round(index * 1e9 / rate)
        clocks.time = due.at_ns + int(0.9e9 / rate)  # each frame is nearly late


def test_a_small_delay_is_caught_up_and_a_long_one_moves_the_rest():
    clocks = Clocks()
    plan = schedule(clocks, rate=10)
    plan.due(0)
    clocks.time = 5 * S + 190_000_000  # 90 ms late, less than a period
    assert plan.due(1).at_ns == 5 * S + 100_000_000
    clocks.time = 7 * S
    late = plan.due(2)
    assert (late.at_ns, late.late_ns) == (7 * S, S * 18 // 10)
    assert late.stamp_ns == WALL + 7 * S  # as fresh as it is
    following = plan.due(3)
    assert (following.at_ns, following.late_ns) == (7 * S + S // 10, 0)


def test_a_long_delay_moves_recorded_intervals_too():
    clocks = Clocks()
    plan = schedule(clocks)
    plan.due(S)
    clocks.time = 20 * S
    assert plan.due(2 * S).at_ns == 20 * S
    assert plan.due(4 * S).at_ns == 22 * S


@pytest.mark.parametrize("again", [0, S, 3 * S])
def test_a_stamp_that_does_not_rise_is_due_one_period_later(again: int):
    clocks = Clocks()
    plan = schedule(clocks)
    plan.due(S)
    plan.due(3 * S)
    due = plan.due(again)  # the next round, or a clock set back
    assert due.at_ns == 5 * S + 4 * S
    assert due.stamp_ns == WALL + due.at_ns
    assert plan.due(again + S).at_ns == due.at_ns + S


def test_a_repeated_frame_keeps_the_nominal_period():
    plan = schedule(Clocks())
    assert [plan.due(7).at_ns - 5 * S for _ in range(3)] == [0, S // 15, 2 * (S // 15)]


def test_messages_beside_the_frames_keep_their_distance_to_them():
    clocks = Clocks()
    plan = schedule(clocks, rate=1)
    frames = {recorded: plan.due(recorded).stamp_ns for recorded in (100, 200, 300)}
    for recorded, stamp in frames.items():
        assert plan.stamp(recorded) == stamp  # also of frames before the last
    assert plan.stamp(305) == frames[300] + 5
    assert plan.stamp(250) == frames[300] - 50
    original = schedule(clocks, fresh=False)
    original.due(100)
    assert original.stamp(107) == 107


def test_memory_is_bounded():
    plan = schedule(Clocks())
    for recorded in range(1, 3 * MAX_SHIFTS):
        plan.due(recorded * 1000)
    assert len(plan._shifts) == MAX_SHIFTS
