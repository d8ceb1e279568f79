import numpy as np
import pytest

from bisenet_ros.errors import ArgumentError
from bisenet_ros.projection.rotation import quarter_turns, rotate, undo


@pytest.mark.parametrize("shape", [(2, 3), (4, 2, 3), (1, 5), (3, 3, 1)])
def test_every_pixel_goes_where_a_clockwise_turn_puts_it(shape: tuple[int, ...]):
    image = np.arange(np.prod(shape)).reshape(shape)
    height, width = shape[:2]
    for degrees, size in ((0, (height, width)), (90, (width, height))):
        for turn, (rows, columns) in ((degrees, size), (degrees + 180, size)):
            turned = rotate(image, turn)
            assert turned.shape[:2] == (rows, columns)
            for v in range(height):
                for u in range(width):
                    place = {
                        0: (v, u),
                        90: (u, height - 1 - v),
                        180: (height - 1 - v, width - 1 - u),
                        270: (width - 1 - u, v),
                    }[turn]
                    assert np.array_equal(turned[place], image[v, u])


@pytest.mark.parametrize("degrees", [0, 90, 180, 270, 360, -90, 450])
def test_undo_brings_the_image_back_and_nothing_is_copied(degrees: int):
    image = np.random.default_rng(1).integers(0, 255, (5, 7, 3), np.uint8)
    turned = rotate(image, degrees)
    assert np.shares_memory(turned, image)
    assert np.array_equal(undo(turned, degrees), image)
    assert quarter_turns(degrees) in range(4)


@pytest.mark.parametrize("degrees", [1, 45, 89, -1, 271])
def test_other_angles_are_refused(degrees: int):
    with pytest.raises(ArgumentError, match=f"rotation is {degrees} degrees; expected 0, 90"):
        rotate(np.zeros((2, 2)), degrees)
