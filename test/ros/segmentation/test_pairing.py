"""Frames and depth images find each other, in bounded queues."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bisenet_ros.ros.segmentation.output_state import OutputState
from bisenet_ros.ros.segmentation.pairing import DEPTHS, FRAMES, Pairing


def test_a_frame_waits_for_its_depth_and_no_longer():
    pairing: Pairing[str, str] = Pairing()
    pairing.add_frame(100, "frame")
    assert pairing.take(5) == ([], 0)
    pairing.add_depth(97, "before")
    assert pairing.take(5) == ([], 0)  # a nearer one may follow
    pairing.add_depth(101, "after")
    assert pairing.take(5) == ([("frame", "after")], 0)
    assert pairing.take(5) == ([], 0) and pairing.unpaired == 0


def test_depth_that_came_first_is_found():
    pairing: Pairing[str, str] = Pairing()
    for stamp in (90, 100, 110):
        pairing.add_depth(stamp, str(stamp))
    pairing.add_frame(100, "frame")
    assert pairing.take(0) == ([("frame", "100")], 0)


def test_frames_without_depth_are_counted():
    pairing: Pairing[str, str] = Pairing()
    pairing.add_depth(50, "far")
    pairing.add_frame(10, "early")
    assert pairing.take(20) == ([], 1)
    for stamp in range(100, 100 + 2 * FRAMES):
        pairing.add_frame(stamp, "late")
    assert pairing.take(20) == ([], FRAMES)
    assert pairing.unpaired == 1 + FRAMES
    pairing.clear()
    pairing.add_depth(200, "x")
    assert pairing.take(20) == ([], 0)


def test_a_bag_that_starts_again_is_followed():
    pairing: Pairing[str, str] = Pairing()
    pairing.add_depth(10**12, "last")
    pairing.add_depth(5, "first")
    pairing.add_frame(5, "frame")
    assert pairing.take(1) == ([("frame", "first")], 0)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=60),
    st.integers(0, 10),
)
def test_every_frame_is_paired_once_or_counted(events, max_dt):
    pairing: Pairing[int, int] = Pairing()
    frames, paired = 0, []
    for is_frame, stamp in events:
        if is_frame:
            pairing.add_frame(stamp, stamp)
            frames += 1
        else:
            pairing.add_depth(stamp, stamp)
        pairs, _ = pairing.take(max_dt)
        paired += pairs
        assert len(pairing._frames) <= FRAMES and len(pairing._depths) <= DEPTHS
    assert all(abs(frame - depth) <= max_dt for frame, depth in paired)
    assert len(paired) + pairing.unpaired + len(pairing._frames) == frames


def test_a_reason_is_logged_once():
    lines: list[str] = []

    class Logger:
        warning = staticmethod(lines.append)

    state = OutputState("~/ground", Logger())
    for _ in range(3):
        state.pause("no camera_info")
    state.run()
    assert state.problem == ""
    state.pause("no camera_info")  # back at once: said before
    state.pause("another")
    assert lines == ["~/ground paused: no camera_info", "~/ground paused: another"]
    assert state.problem == "another"
