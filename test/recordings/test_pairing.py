"""Pairs by stamps, against all pairs at once."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisenet_ros.recordings.pairing import JITTER_NS, Pairing

MS = 10**6


class Item(NamedTuple):
    stamp_ns: int
    log_ns: int


def at(*milliseconds: int, log: int = 0) -> list[Item]:
    """Items with stamps in ms, recorded ``log`` ms after they were taken."""
    return [Item(ms * MS, (ms + log) * MS) for ms in milliseconds]


def pairs(items: list[Item], companions: list[Item], max_dt: int = 0) -> dict[int, int | None]:
    """Companions' stamps in ms by the number of the item."""
    found = Pairing(items, companions, max_dt * MS)
    listed = list(found)
    assert [item for item, _ in listed] == items
    given_out = [other for _, other in listed if other is not None]
    assert len(set(map(id, given_out))) == len(given_out)  # each once
    assert found.paired == len(given_out)
    assert found.unpaired == len(items) - len(given_out)
    assert found.left_over == len(companions) - len(given_out)
    return {i: None if o is None else o.stamp_ns // MS for i, (_, o) in enumerate(listed)}


def slow_pairs(items: list[int], companions: list[int], max_dt: int) -> dict[int, int | None]:
    """Mutual nearest of sorted stamps without repeats."""
    found: dict[int, int | None] = {}
    left = list(companions)
    for index, stamp in enumerate(items):
        found[index] = None
        if left:
            near = min(left, key=lambda other: (abs(other - stamp), other))
            back = min(items, key=lambda other: (abs(other - near), other))
            if back == stamp and abs(near - stamp) <= max_dt:
                found[index] = near
                left.remove(near)
    return found


STAMPS = st.lists(st.integers(0, 900), max_size=12, unique=True).map(sorted)


@given(STAMPS, STAMPS, st.sampled_from([0, 5, 40, 300]), st.sampled_from([0, -3000, 70, 10**9]))
def test_pairs_are_mutual_nearest_whenever_the_labels_were_recorded(items, others, max_dt, log):
    found = pairs(at(*items), at(*others, log=log), max_dt)
    assert found == slow_pairs(items, others, max_dt)


def test_equal_stamps_are_pairs_and_others_are_missed_by_so_much():
    found = Pairing(at(0, 100, 200), at(0, 103, 290))
    assert [other is not None for _, other in found] == [True, False, False]
    assert found.nearest_miss_ns == 3 * MS


def test_a_label_goes_to_the_nearer_of_two_images():
    assert pairs(at(0, 10), at(9), 20) == {0: None, 1: 9}
    assert pairs(at(0, 10), at(5), 20) == {0: 5, 1: None}  # of equally near ones the earlier
    assert pairs(at(10), at(5, 15), 20) == {0: 5}


def test_repeated_stamps_are_paired_in_turn():
    assert pairs(at(0, 10, 10, 20), at(0, 10, 10, 20)) == {0: 0, 1: 10, 2: 10, 3: 20}
    assert pairs(at(0, 10, 10, 20), at(0, 10, 20)) == {0: 0, 1: 10, 2: None, 3: 20}
    assert pairs(at(0, 10, 20), at(0, 10, 10, 20)) == {0: 0, 1: 10, 2: 20}


def test_stamps_out_of_order_by_a_little_are_still_paired():
    assert pairs(at(0, 20, 10, 30), at(10, 0, 30, 20)) == {0: 0, 1: 20, 2: 10, 3: 30}


def looped(stamps: range, rounds: int, log: int = 0) -> list[Item]:
    """Stamps recorded again and again, as when a drive is played in a loop."""
    length = stamps[-1] + stamps.step
    return [
        Item(stamp * MS, (number * length + stamp + log) * MS)
        for number in range(rounds)
        for stamp in stamps
    ]


@pytest.mark.parametrize("log", [0, 3])
def test_a_drive_that_was_played_twice_is_paired_twice(log: int):
    images = looped(range(0, 3000, 100), 2)
    found = Pairing(images, looped(range(0, 3000, 100), 2, log))
    matches = list(found)
    assert all(other is not None for _, other in matches)
    assert all(abs(other.log_ns - item.log_ns) <= log * MS for item, other in matches)


def test_labels_of_the_second_round_alone_are_not_lost_with_the_first():
    images = looped(range(0, 3000, 100), 2)
    labels = [label for label in looped(range(0, 3000, 500), 2) if label.log_ns >= 3000 * MS]
    found = Pairing(images, labels)
    # A label has the stamp of an image of either round; both show the same.
    assert sum(other is not None for _, other in found) == 6


def test_a_clock_set_back_does_not_end_the_pairing():
    stamps = [*range(0, 2000, 100), *range(1500, 4000, 100)]
    images = [Item(stamp * MS, index * 100 * MS) for index, stamp in enumerate(stamps)]
    every_fourth = [image for index, image in enumerate(images) if index % 4 == 0]
    for labels in (images, every_fourth):
        found = [pair for pair in Pairing(images, labels) if pair[1] is not None]
        assert all(item.stamp_ns == other.stamp_ns for item, other in found)
        assert len(found) >= len(labels) - 2
        assert found[-1][1] == labels[-1]


def test_labels_that_jump_alone_cost_no_more_than_themselves():
    images = at(*range(0, 4000, 100))
    stamps = [*range(0, 2000, 100), *range(1000, 4000, 100)]
    labels = [Item(stamp * MS, index * 100 * MS) for index, stamp in enumerate(stamps)]
    found = Pairing(images, labels)
    paired = [item.stamp_ns // MS for item, other in found if other is not None]
    assert set(range(0, 2000, 100)) <= set(paired)
    assert paired[-1] == 3900


@pytest.mark.parametrize("wrong", [0, 10**9])
def test_one_wrong_stamp_costs_one_pair(wrong: int):
    stamps = [*range(10_000, 12_000, 50)]
    for where in ("image", "label"):
        images = [Item(stamp * MS, stamp * MS) for stamp in stamps]
        labels = list(images)
        (images if where == "image" else labels)[20] = Item(wrong * MS, stamps[20] * MS)
        found = list(Pairing(images, labels))
        paired = [item for item, other in found if other is not None]
        assert paired == [item for item in images if item in labels], where


def test_only_a_window_of_labels_is_read_ahead():
    read = 0

    def labels():
        nonlocal read
        for label in at(*range(0, 100_000, 50)):
            read += 1
            yield label

    for number, _ in enumerate(Pairing(at(*range(0, 100_000, 50)), labels())):
        assert read <= number + 3 + JITTER_NS // (50 * MS) + 1


def test_nothing_is_paired_with_nothing():
    assert pairs([], at(1, 2)) == {}
    assert pairs(at(1, 2), []) == {0: None, 1: None}
