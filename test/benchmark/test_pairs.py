"""Both functions run alternately, and the result is the median of the pairs' ratios."""

from bisenet_ros.benchmark.pairs import PairedTimes, time_pairs


def test_both_run_alternately_after_the_warm_up():
    calls = []
    pairs = time_pairs(
        lambda index: calls.append(("a", index)), lambda index: calls.append(("b", index)), 3, 2
    )
    assert calls == [(who, index) for index in (0, 0, 0, 1, 2) for who in "ab"]
    assert len(pairs.first) == len(pairs.second) == 3
    assert all(milliseconds >= 0 for milliseconds in pairs.first + pairs.second)


def test_the_ratio_is_of_pairs_not_of_medians():
    pairs = PairedTimes([10.0, 100.0, 30.0, 12.0], [5.0, 50.0, 10.0, 4.0])
    assert pairs.ratio == 2.5
    assert pairs.spread == (2.0, 3.0)
