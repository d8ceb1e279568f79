import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from views import DEGREES

from bisenet_ros.errors import DataError
from bisenet_ros.projection.pose import Pose

AHEAD = np.array([0.0, 0.0, 1.0])
RIGHT = np.array([1.0, 0.0, 0.0])
angles = st.floats(-math.pi, math.pi)


def quaternion_of(roll: float, pitch: float, yaw: float) -> tuple[float, float, float, float]:
    """Of REP 103's fixed-axis angles, as tf2's setRPY."""
    (sr, cr), (sp, cp), (sy, cy) = ((math.sin(a / 2), math.cos(a / 2)) for a in (roll, pitch, yaw))
    return (
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        cr * cp * cy + sr * sp * sy,
    )


def times(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def test_axes_are_those_of_rep_103():
    straight = Pose.from_mounting(1.0)
    assert np.allclose(straight.rotation @ AHEAD, [1, 0, 0])
    assert np.allclose(straight.rotation @ RIGHT, [0, -1, 0])
    down = Pose.from_mounting(1.0, pitch=30 * DEGREES).rotation @ AHEAD
    assert np.allclose(down, [math.cos(math.pi / 6), 0, -0.5])
    left = Pose.from_mounting(1.0, yaw=90 * DEGREES).rotation @ AHEAD
    assert np.allclose(left, [0, 1, 0])
    # A camera that rolls clockwise has its right side down.
    assert (Pose.from_mounting(1.0, roll=10 * DEGREES).rotation @ RIGHT)[2] < 0


@given(roll=angles, pitch=angles, yaw=angles)
def test_tf_and_parameters_give_the_same_pose(roll: float, pitch: float, yaw: float):
    body_to_optical = (-0.5, 0.5, -0.5, 0.5)  # REP 103's suffix _optical
    quaternion = times(quaternion_of(roll, pitch, yaw), body_to_optical)
    scaled = tuple(3 * value for value in quaternion)  # need not be of length 1
    from_tf = Pose.from_transform((0.3, -0.2, 1.1), scaled)
    from_parameters = Pose.from_mounting(1.1, pitch, roll, yaw, 0.3, -0.2)
    assert np.allclose(from_tf.rotation, from_parameters.rotation, atol=1e-12)
    assert np.array_equal(from_tf.translation, from_parameters.translation)
    assert max(from_tf.distance(from_parameters)) < 1e-7


@given(roll=angles, pitch=angles, yaw=angles, turn=st.floats(1e-6, 3.0))
def test_distance_is_what_was_moved_and_turned(roll: float, pitch: float, yaw: float, turn: float):
    one = Pose.from_mounting(1.0, pitch, roll, yaw)
    other = Pose.from_mounting(1.4, pitch, roll, yaw + turn, 0.3)
    metres, radians = one.distance(other)
    assert metres == pytest.approx(0.5)
    assert radians == pytest.approx(turn, rel=1e-6)
    assert one.distance(one) == (0.0, 0.0)


def test_points_go_to_the_ground_frame_and_back():
    pose = Pose.from_mounting(0.8, 0.3, -0.2, 0.5, 0.1, 0.2)
    points = np.random.default_rng(2).normal(size=(4, 5, 3))
    assert np.allclose(pose.to_optical(pose.to_ground(points)), points)
    assert np.allclose(pose.to_ground(np.zeros(3)), [0.1, 0.2, 0.8])


@pytest.mark.parametrize(
    ("translation", "quaternion"),
    [
        ((0, 0, 1), (0, 0, 0, 0)),
        ((0, 0, 1), (0, 0, 0, math.nan)),
        ((math.inf, 0, 1), (0, 0, 0, 1)),
    ],
)
def test_broken_transforms_are_refused(translation: tuple, quaternion: tuple):
    with pytest.raises(DataError, match="look at what publishes it on /tf"):
        Pose.from_transform(translation, quaternion)


def test_broken_parameters_are_refused():
    with pytest.raises(DataError, match="not finite: height nan"):
        Pose.from_mounting(math.nan)
