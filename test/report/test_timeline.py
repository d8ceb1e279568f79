"""Figures along a recording, as SVG."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bisenet_ros.report.recording import time_axis
from bisenet_ros.report.timeline import Line, Timeline, path, reliability, stacked, ticks

NAN = float("nan")


def points(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", text)]


def test_a_path_breaks_where_nothing_is_known():
    places = np.array([0, 0.25, 0.5, 0.75, 1.0])
    found = path(places, np.array([0.0, 1.0, NAN, 0.5, NAN]))
    assert found == "M0.0 100.0L250.0 0.0M750.0 50.0h0"
    assert path(places, np.full(5, NAN)) == ""


def test_long_recordings_keep_their_extremes():
    heights = np.full(50_000, 0.5)
    heights[31_234], heights[7] = 0.9, 0.1
    found = points(path(np.linspace(0, 1, 50_000), heights))
    assert len(found) <= 2000
    assert min(y for _, y in found) == pytest.approx(10)
    assert max(y for _, y in found) == pytest.approx(90)
    (peak,) = {x for x, y in found if y < 20}
    assert peak == pytest.approx(1000 * 31_234 / 50_000, abs=1)


def test_lines_without_values_are_left_out_and_ranges_are_round():
    good = np.array([0.912, 0.957])
    shown = Timeline(
        "x", [Line("a", "A", "first", good), Line("b", "B", "second", good * NAN)], None
    )
    assert [line.key for line in shown.shown] == ["a"]
    assert shown.range == pytest.approx((0.91, 0.96))
    found = shown.html(np.array([0.0, 1.0]))
    assert (found["low"], found["high"]) == ("91 %", "96 %")
    assert not Timeline("x", [Line("b", "B", "second", good * NAN)]).shown


def test_the_axis_is_time_unless_stamps_go_back():
    places, seconds = time_axis(np.array([0, 1, 4]) * 10**9)
    assert places.tolist() == [0, 0.25, 1] and seconds == 4
    places, seconds = time_axis(np.array([0, 4, 1]) * 10**9)
    assert places.tolist() == [0, 0.5, 1] and seconds == 0
    assert time_axis(np.array([5]))[1] == 0


@pytest.mark.parametrize("seconds", [0.3, 7, 100, 3000, 20_000, 400_000])
def test_marks_are_few_and_within(seconds: float):
    marks = ticks(seconds)
    assert 2 <= len(marks) <= 9
    assert all(0 <= place <= 1 for place, _ in marks)
    assert len({text for _, text in marks}) == len(marks)


def test_areas_lie_on_top_of_each_other():
    shares = np.array([[0.25, 0.5, 0.0], [0.5, 0.5, 0.0]])
    found = stacked(np.array([0.0, 1.0]), shares, ["a", "b", "c"], ["red", "blue", "lime"])
    assert [name for name, _ in found["legend"]] == ["a", "b"]
    lower, upper = re.findall(r'd="([^"]*)"', str(found["svg"]))
    assert points(lower) == [(0, 75), (1000, 50), (1000, 100), (0, 100)]
    assert points(upper) == [(0, 25), (1000, 0), (1000, 50), (0, 75)]


def test_the_reliability_diagram_has_a_bar_for_each_bin_with_pixels():
    bins = [
        {"low": 0.0, "high": 0.5, "share": 0.0, "confidence": None, "accuracy": None},
        {"low": 0.5, "high": 1.0, "share": 1.0, "confidence": 0.8, "accuracy": 0.75},
    ]
    found = str(reliability(bins))
    assert found.count("<title>") == 1 and "75.0 % right" in found
    assert 'y="65.0"' in found and 'height="195.0"' in found
