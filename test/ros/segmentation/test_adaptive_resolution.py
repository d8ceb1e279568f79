"""When the node lowers its input resolution, and when it raises it again."""

import pytest

from bisenet_ros.benchmark.pipelines import random_weights
from bisenet_ros.inference import Segmenter
from bisenet_ros.ros.segmentation.adaptive_resolution import (
    STEP_UP_DELAY_S,
    ResolutionController,
    resolution_steps,
)

SIZES = [(512, 1024), (384, 768), (256, 512)]
PERIOD = 0.1


def run(controller: ResolutionController, now: float, seconds: float, cost: float) -> float:
    """Feed one batch per period; ``cost`` is seconds at full size."""
    end = now + seconds
    while now < end:
        height, width = controller.sizes[controller.index]
        controller.add_batch(now, cost * height * width / (512 * 1024), PERIOD)
        now += PERIOD
    return now


def test_a_fast_machine_keeps_its_resolution():
    controller = ResolutionController(SIZES)
    run(controller, 0, 60, 0.09)
    assert controller.index == 0


def test_a_slow_machine_steps_down_until_it_meets_the_rate():
    controller = ResolutionController(SIZES)
    run(controller, 0, 5, 0.15)  # 0.084 at three quarters
    assert controller.index == 1
    controller = ResolutionController(SIZES)
    run(controller, 0, 5, 0.3)
    assert controller.index == 2


def test_never_steps_below_the_smallest_size():
    controller = ResolutionController(SIZES)
    run(controller, 0, 30, 5.0)
    assert controller.index == 2


def test_steps_up_again_when_the_machine_is_faster():
    controller = ResolutionController(SIZES)
    now = run(controller, 0, 5, 0.15)
    assert controller.index == 1
    now = run(controller, now, STEP_UP_DELAY_S / 2, 0.05)
    assert controller.index == 1  # not at the first good batch
    run(controller, now, 2 * STEP_UP_DELAY_S, 0.05)
    assert controller.index == 0


def test_a_size_that_does_not_fit_is_retried_ever_less_often():
    controller = ResolutionController(SIZES)
    changes, before, now = 0, 0, 0.0
    while now < 300:
        # The larger size seems to fit but does not: it costs more than its pixel count suggests.
        cost = 0.12 if controller.index == 0 else 0.07
        now = run(controller, now, PERIOD, cost)
        changes += controller.index != before
        before = controller.index
    assert changes <= 16  # without the doubling there would be fifty


def test_without_a_rate_the_size_stays():
    controller = ResolutionController(SIZES)
    for i in range(100):
        assert controller.add_batch(i, 9.0, 0) is False
    assert controller.index == 0


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ((512, 1024), [(512, 1024), (384, 768), (256, 512)]),
        ((360, 480), [(360, 480), (256, 352), (192, 256)]),
        ((32, 32), [(32, 32)]),
    ],
)
def test_steps_are_multiples_of_32_except_the_first(size, sizes):
    assert resolution_steps(size) == sizes


@pytest.mark.parametrize("ceil_pool", [False, True])
def test_every_step_is_an_input_size_of_other_networks_too(tmp_path, ceil_pool):
    """Their sides are multiples of 16, at all or where padding could not be cut off again."""
    backbone_options = {"width": 0.25, "ceil_pool": ceil_pool}
    path = random_weights(
        tmp_path / "deeplab.safetensors",
        *((100, 140), "deeplabv2"),
        **{"backbone": "resnet50", "backbone_options": backbone_options},
    )
    whole = Segmenter(path, "cpu", "fp32", "torch").input_size
    assert whole == ((112, 144) if ceil_pool else (104, 144))
    for size in resolution_steps(whole):
        segmenter = Segmenter(path, "cpu", "fp32", "torch", size)
        segmenter.warm_up()
        assert segmenter.input_size == size
