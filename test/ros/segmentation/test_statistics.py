"""Counters and windows behind the diagnostics."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisenet_ros.ros.segmentation.diagnostics import (
    ERROR,
    OK,
    STALE,
    WARN,
    ModelFacts,
    camera_status,
    model_status,
)
from bisenet_ros.ros.segmentation.statistics import (
    MAX_EVENTS,
    STAGES,
    WINDOW,
    CameraStatistics,
    Window,
)


def test_rate_counts_events_of_the_last_seconds():
    window = Window(100.0)
    for i in range(300):
        window.add(100 + i / 30)
    assert window.rate(110.0) == pytest.approx(30, abs=0.3)
    assert window.rate(110 + WINDOW) == 0


def test_rate_right_after_the_start_is_over_the_time_there_was():
    window = Window(100.0)
    window.add(100.5), window.add(101.0)
    assert window.rate(101.0) == pytest.approx(2.0)
    assert Window(5.0).rate(5.0) == 0


def test_percentiles_are_numpys():
    window = Window(0.0)
    values = np.random.default_rng(0).normal(size=50)
    for i, value in enumerate(values):
        window.add(i / 50, float(value))
    assert window.percentiles(1.0, 50, 95) == pytest.approx(list(np.percentile(values, [50, 95])))
    assert all(math.isnan(p) for p in Window(0.0).percentiles(1.0, 50, 95))


def test_a_clock_that_jumps_back_clears_the_window():
    window = Window(1000.0)
    for i in range(50):
        window.add(1000 + i / 10)
    window.add(10.0)
    window.add(10.5)
    assert window.rate(11.0) == pytest.approx(2.0)


def test_lost_frames_show_in_the_stamps_that_arrive():
    statistics = CameraStatistics(0.0)
    for i in range(100):
        if i % 4:
            statistics.received(i / 30, 1000 + i / 30)
    assert statistics.lost_share(3.3) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("shake", [0.0, 0.15])
def test_a_whole_or_shaken_camera_loses_nothing(shake):
    random = np.random.default_rng(0)
    statistics = CameraStatistics(0.0)
    for i in range(100):
        statistics.received(i / 30, 1000 + (i + random.uniform(-shake, shake)) / 30)
    assert statistics.lost_share(3.3) < 0.05


def test_irregular_stamps_a_loop_and_few_frames_say_nothing_of_losses():
    random = np.random.default_rng(0)
    irregular, looped, few = (CameraStatistics(0.0) for _ in range(3))
    stamp = 1000.0
    for i in range(100):
        stamp += random.uniform(0.01, 0.2)
        irregular.received(i / 30, stamp)
        looped.received(i / 30, 1000 + (i % 50) / 30)
    for i in range(4):
        few.received(i, 1000 + i * (i + 1))
    assert [s.lost_share(3.3) for s in (irregular, looped, few)] == [0.0, 0.0, 0.0]


def test_the_period_is_that_of_the_shortest_steps():
    """Of a camera that loses most frames, few steps are as long as its period."""
    statistics = CameraStatistics(0.0)
    stamp = 1000.0
    for i in range(100):
        stamp += 0.02 if i % 5 == 0 else 0.04  # a fifth of the steps lost nothing
        statistics.received(i / 25, stamp)
    assert statistics.lost_share(4.0) == pytest.approx(80 / 180, abs=0.01)


@pytest.mark.parametrize(("short", "lost"), [(8, 0.0), (11, 89 / 189)])
def test_the_period_is_the_tenth_percentile_of_the_steps(short, lost):
    """Fewer than a tenth of short steps are jitter, more of them are the camera's period."""
    statistics = CameraStatistics(0.0)
    stamp = 1000.0
    for i in range(101):
        statistics.received(i / 25, stamp)
        stamp += 0.02 if i < short else 0.04
    assert statistics.lost_share(4.0) == pytest.approx(lost)


@pytest.mark.parametrize(
    ("steps", "lost"),
    [
        ([1] * 7 + [2], 1 / 9),
        ([1] * 6 + [2], 0.0),  # too few
        ([1] * 8 + [1.5] * 2, 2 / 12),
        ([1] * 7 + [1.5] * 3, 0.0),  # irregular
    ],
)
def test_a_loss_is_told_from_eight_steps_of_which_four_fifths_are_regular(steps, lost):
    statistics = CameraStatistics(0.0)
    stamp = 1000.0
    for i, step in enumerate([0, *steps]):
        stamp += step / 16
        statistics.received(i / 25, stamp)
    assert statistics.lost_share(1.0) == pytest.approx(lost)


def test_a_window_is_bounded_whatever_the_rate():
    window = Window(0.0)
    for i in range(MAX_EVENTS + 10):
        window.add(1.0, float(i))
    assert window.values(1.0) == [float(i) for i in range(10, MAX_EVENTS + 10)]


def test_projections_have_their_time_reported():
    statistics = CameraStatistics(0.0)
    for name, milliseconds in (("ground", 3.0), ("points", 4.0), ("points", 6.0)):
        statistics.projected(name, 1.0, milliseconds)
    report = statistics.report(2.0)
    assert (report["ground_ms_p50"], report["points_ms_p50"]) == (3.0, 5.0)
    assert math.isnan(statistics.report(1.0 + WINDOW)["ground_ms_p50"])


def test_percentiles_of_ages_are_those_their_names_say():
    statistics = CameraStatistics(0.0)
    for i in range(101):
        statistics.received(1.0)
        statistics.published(1.0, i / 1000, dict.fromkeys(STAGES, float(i)), late=False)
    report = statistics.report(1.0)
    assert [report[f"frame_age_ms_p{p}"] for p in (50, 95, 99)] == pytest.approx([50, 95, 99])
    assert report["forward_ms_p50"] == 50.0


def test_an_age_beyond_a_day_is_a_foreign_clock():
    statistics = CameraStatistics(0.0)
    for age, offset in ((0.01, 0.0), (86_400.0, 0.0), (86_401.0, 86_401.0), (-1e9, -1e9)):
        statistics.received(1.0)
        statistics.published(1.0, age, {}, late=False)
        assert statistics.clock_offset == offset
    assert statistics.report(1.0)["frame_age_ms_p99"] <= 86_400_000


def fed(seconds: float = 10.0, fps: float = 10.0, served: float = 1.0) -> CameraStatistics:
    statistics = CameraStatistics(0.0)
    for i in range(int(seconds * fps)):
        now = i / fps
        statistics.received(now)
        if (i * served) % 1 < served:
            statistics.published(now, 0.05, dict.fromkeys(STAGES, 2.0), late=i % 2 == 0)
    return statistics


def values(status) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def test_a_camera_that_is_served_is_ok_with_every_key_of_the_contract():
    status = camera_status("bisenet", "front", fed(), 9.95, 15.0, 2.0)
    assert (status.name, status.level) == ("bisenet: camera front", OK)
    found = values(status)
    keys = {"input_fps", "output_fps", "target_fps", "superseded", "rejected", "deadline_misses"}
    keys |= {"last_reject_reason"} | {f"frame_age_ms_p{p}" for p in (50, 95, 99)}
    keys |= {f"{stage}_ms_p50" for stage in STAGES}
    assert keys <= set(found)
    assert float(found["input_fps"]) == pytest.approx(10, abs=0.3)
    assert found["frame_age_ms_p50"] == "50.000" and found["forward_ms_p50"] == "2.000"
    assert found["received"] == found["published"] == "100"
    assert found["deadline_misses"] == "50"


@pytest.mark.parametrize(
    ("served", "target", "level"),
    [(1.0, 15.0, OK), (0.5, 15.0, WARN), (0.5, 4.0, OK), (0.5, 0.0, WARN)],
)
def test_warns_below_nine_tenths_of_the_lower_of_target_and_input(served, target, level):
    assert camera_status("n", "c", fed(served=served), 9.95, target, 2.0).level == level


def test_stale_without_input():
    assert camera_status("n", "c", CameraStatistics(0.0), 1.0, 15.0, 2.0).level == STALE
    status = camera_status("n", "c", fed(), 12.5, 15.0, 2.0)
    assert status.level == STALE and "no image for" in status.message


def test_silence_after_a_clock_that_jumped_back_is_noticed():
    statistics = fed()
    assert camera_status("n", "c", statistics, 1.0, 15.0, 2.0).level != STALE
    assert camera_status("n", "c", statistics, 3.5, 15.0, 2.0).level == STALE


def test_warnings_are_reported():
    assert camera_status("n", "c", fed(), 9.95, 15.0, 2.0, "wrong type").level == WARN
    status = camera_status("n", "c", CameraStatistics(0.0), 1.0, 15.0, 2.0, "wrong type")
    assert status.level == STALE and "wrong type" in status.message


def test_messages_and_values_are_exact():
    quiet = camera_status("n", "c", CameraStatistics(0.0), 1.0, 15.0, 2.0)
    assert (quiet.message, quiet.hardware_id) == ("no image yet", "bisenet_ros")
    found = values(quiet)
    assert (found["target_fps"], found["lost_share"], found["received"]) == ("15.000", "0.000", "0")
    assert found["frame_age_ms_p50"] == "nan" and found["last_reject_reason"] == ""
    warned = camera_status("n", "c", CameraStatistics(0.0), 1.0, 15.0, 2.0, "wrong type")
    assert warned.message == "no image yet; wrong type"
    statistics = CameraStatistics(0.0)
    statistics.received(1.0)
    statistics.rejected("too small")
    late = camera_status("n", "c", statistics, 3.5, 15.0, 2.0)
    assert late.level == STALE and late.message == "no image for 2.5 s"
    assert values(late)["last_reject_reason"] == "too small"
    at_the_limit = camera_status("n", "c", statistics, 3.0, 15.0, 2.0)
    assert at_the_limit.level == WARN  # exactly stale_after is not yet too long
    assert at_the_limit.message == "publishing masks at 0.0 Hz, expected 0.3"
    good = camera_status("n", "c", fed(), 9.95, 15.0, 2.0)
    assert good.message == "publishing masks at 10.0 Hz"
    off = camera_status("n", "c", fed(), 9.95, 15.0, 2.0, "", False)
    assert off.message == "disabled by ~/enable"
    assert camera_status("n", "c", fed(), 9.95, 15.0, 2.0, "wrong type").message == "wrong type"


def test_just_nine_tenths_of_the_rate_is_enough():
    statistics = CameraStatistics(0.0)
    for i in range(100):
        statistics.received(i / 10)
        if i % 10:  # nine of ten
            statistics.published(i / 10, 0.0, {}, late=False)
        else:
            statistics.superseded()
    report = statistics.report(9.95)
    assert report["output_fps"] == 0.9 * report["input_fps"]
    assert camera_status("n", "c", statistics, 9.95, 0.0, 2.0).level == OK


@pytest.mark.parametrize(
    ("facts", "level", "message"),
    [
        (ModelFacts(), OK, "running"),
        (ModelFacts(active=False), OK, "inactive"),
        (ModelFacts(active=False, enabled=False), OK, "inactive"),
        (ModelFacts(enabled=False), OK, "disabled by ~/enable"),
        (ModelFacts(fallback="on the CPU", enabled=False), WARN, "on the CPU"),
        (ModelFacts(failures=4, last_failure="x"), WARN, "the last inference failed: x"),
        (ModelFacts(failures=5, last_failure="x"), ERROR, "5 consecutive inferences failed: x"),
        (
            ModelFacts(worker_alive=False, failures=9),
            ERROR,
            "the inference thread has ended; deactivate and activate the node",
        ),
    ],
)
def test_what_the_model_status_says(facts, level, message):
    status = model_status("eyes", facts)
    assert (status.name, status.level, status.message) == ("eyes: model", level, message)


def test_model_values_are_passed_on():
    assert values(model_status("n", ModelFacts({"device": "cpu"}))) == {"device": "cpu"}


def test_windows_end_where_they_say():
    window = Window(0.0)
    window.add(1.0, 7.0)
    assert window.values(1.0 + WINDOW - 0.01) == [7.0]
    assert window.values(1.0 + WINDOW) == []
    window.add(7.0)
    assert window.values(7.0) == [0.0]
    window.add(7.0, 3.0)  # the same moment is not a jump back
    assert window.values(7.0) == [0.0, 3.0]
    assert window.percentiles(7.0, 0, 100) == [0.0, 3.0]
    before = Window(5.0)
    before.add(4.0, 1.0)
    assert before.values(4.0) == [1.0] and before.rate(4.5) == pytest.approx(2.0)


def test_steps_of_a_camera_that_stood_still_or_paused_do_not_count():
    for step, counted in ((0.0, 0), (-1.0, 0), (1.99, 8), (2.0, 0)):
        statistics = CameraStatistics(0.0)
        for i in range(9):
            statistics.received(0.01 * i, 1000 + step * i)
        assert len(statistics._steps.values(0.1)) == counted
    unset = CameraStatistics(0.0)
    for i in range(9):
        unset.received(0.01 * i)  # a driver that sets no stamps
    unset.received(0.1, 1.5)
    assert unset._steps.values(0.1) == []


def test_a_camera_begins_with_nothing():
    statistics = CameraStatistics(0.0)
    assert statistics.clock_offset == 0.0 and statistics.last_input is None
    assert {"wait_ms_p50", *(f"{stage}_ms_p50" for stage in STAGES)} <= set(statistics.report(1.0))
    statistics.received(1.0, 1.5)  # the first stamp makes no step
    assert statistics._steps.values(1.0) == []
    statistics.received(1.1)
    assert statistics.report(1.2)["pending"] == 2


def test_a_disabled_node_is_not_late():
    idle = fed(served=0.1)
    assert camera_status("n", "c", idle, 9.95, 15.0, 2.0).level == WARN
    status = camera_status("n", "c", idle, 9.95, 15.0, 2.0, enabled=False)
    assert status.level == OK and "disabled" in status.message


def test_the_model_status_follows_failures_and_fallbacks():
    assert model_status("n", ModelFacts()).level == OK
    assert model_status("n", ModelFacts(fallback="on the CPU")).level == WARN
    assert model_status("n", ModelFacts(failures=1, last_failure="x")).level == WARN
    status = model_status("n", ModelFacts(failures=5, max_failures=5, last_failure="no memory"))
    assert status.level == ERROR and "no memory" in status.message


@given(st.lists(st.sampled_from(["superseded", "rejected", "failed", "dropped", "published"])))
def test_every_received_frame_is_in_exactly_one_count(outcomes):
    statistics = CameraStatistics(0.0)
    for index, outcome in enumerate([*outcomes, None]):
        statistics.received(float(index))
        if outcome == "rejected":
            statistics.rejected("because")
        elif outcome == "published":
            statistics.published(float(index), None, {}, late=False)
        elif outcome is not None:
            getattr(statistics, outcome)()
        report = statistics.report(float(index))
        parts = ("published", "superseded", "rejected", "failed", "dropped", "pending")
        assert report["received"] == sum(report[part] for part in parts)
    assert report["pending"] == 1
    assert all(report[outcome] == outcomes.count(outcome) for outcome in set(outcomes))
