"""When the node gives up resolution, and when it takes it back."""

import pytest

from bisenet_ros.ros.segmentation.adaptive_resolution import (
    CALM,
    ResolutionController,
    resolution_steps,
)

SIZES = [(512, 1024), (384, 768), (256, 512)]
PERIOD = 0.1


def run(ladder: ResolutionController, now: float, seconds: float, cost: float) -> float:
    """Let batches come at the period's pace; ``cost`` is seconds at full size."""
    end = now + seconds
    while now < end:
        height, width = ladder.sizes[ladder.index]
        ladder.note(now, cost * height * width / (512 * 1024), PERIOD)
        now += PERIOD
    return now


def test_a_fast_machine_keeps_its_resolution():
    ladder = ResolutionController(SIZES)
    run(ladder, 0, 60, 0.09)
    assert ladder.index == 0


def test_a_slow_one_steps_down_until_it_holds_the_rate():
    ladder = ResolutionController(SIZES)
    run(ladder, 0, 5, 0.15)  # 0.084 at three quarters
    assert ladder.index == 1
    ladder = ResolutionController(SIZES)
    run(ladder, 0, 5, 0.3)
    assert ladder.index == 2


def test_the_smallest_size_is_the_end():
    ladder = ResolutionController(SIZES)
    run(ladder, 0, 30, 5.0)
    assert ladder.index == 2


def test_it_steps_up_again_when_the_machine_has_cooled():
    ladder = ResolutionController(SIZES)
    now = run(ladder, 0, 5, 0.15)
    assert ladder.index == 1
    now = run(ladder, now, CALM / 2, 0.05)
    assert ladder.index == 1  # not at the first good batch
    run(ladder, now, 2 * CALM, 0.05)
    assert ladder.index == 0


def test_a_size_that_hardly_fits_is_not_tried_again_and_again():
    ladder = ResolutionController(SIZES)
    changes, before, now = 0, 0, 0.0
    while now < 300:
        # Looks as if it fitted from below, and does not: the larger size costs more than pixels.
        cost = 0.12 if ladder.index == 0 else 0.07
        now = run(ladder, now, PERIOD, cost)
        changes += ladder.index != before
        before = ladder.index
    assert changes <= 16  # without the doubling there would be fifty


def test_without_a_rate_there_is_nothing_to_hold():
    ladder = ResolutionController(SIZES)
    for i in range(100):
        assert ladder.note(i, 9.0, 0) is False
    assert ladder.index == 0


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ((512, 1024), [(512, 1024), (384, 768), (256, 512)]),
        ((360, 480), [(360, 480), (256, 352), (192, 256)]),
        ((32, 32), [(32, 32)]),
    ],
)
def test_steps_are_multiples_of_32_but_for_the_first(size, sizes):
    assert resolution_steps(size) == sizes
