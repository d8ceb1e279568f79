"""The camera's pose from TF's lookup interface, and from parameters where TF knows none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.time import Time
from std_msgs.msg import Header

from bisenet_ros.errors import DataError
from bisenet_ros.projection.pose import Pose
from bisenet_ros.ros.parameters.definition import Parameters
from bisenet_ros.ros.segmentation.camera_pose import CameraPose, find_pose

MEASURED = Parameters(camera_height=0.8, camera_pitch=0.3, camera_yaw=0.1, camera_x=0.2)
SECOND = 10**9


class Buffer:
    """Stands for tf2_ros.Buffer: one transform at some times, nothing between them.

    Args:
        heights: of the camera in metres, by the transform's stamp in nanoseconds; 0 is static.
    """

    def __init__(self, heights: dict[int, float]) -> None:
        self.heights = heights

    def can_transform(self, target_frame: str, source_frame: str, time: Time) -> bool:
        known = (target_frame, source_frame) == ("base_footprint", "lens")
        return known and bool(self.heights)

    def lookup_transform(self, target_frame: str, source_frame: str, time: Time):
        if not self.can_transform(target_frame, source_frame, time):
            raise LookupError("frames are not connected")
        stamp = time.nanoseconds or max(self.heights)
        if stamp not in self.heights and 0 not in self.heights:
            raise RuntimeError("extrapolation into the future")
        found = TransformStamped()
        found.header.stamp = Time(nanoseconds=stamp).to_msg()
        found.transform.translation.z = self.heights.get(stamp, self.heights.get(0))
        found.transform.rotation.x = -np.sqrt(0.5)  # looks ahead, with x to the right
        found.transform.rotation.w = np.sqrt(0.5)
        return found


def find(buffer, frame: str = "lens", cameras: int = 1, **changes) -> CameraPose:
    header = Header(frame_id=frame)
    header.stamp.sec = 100
    return find_pose(header, dataclasses.replace(MEASURED, **changes), buffer, cameras)


def test_the_transform_at_the_images_stamp():
    found = find(Buffer({99 * SECOND: 1.0, 100 * SECOND: 1.5, 101 * SECOND: 2.0}))
    assert (found.source, found.age_s) == ("tf", 0)
    assert found.pose.translation.tolist() == [0, 0, 1.5]
    ahead = found.pose.to_ground(np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])) - [0, 0, 1.5]
    assert np.allclose(ahead, [[1, 0, 0], [0, 0, -1], [0, 1, 0]])


def test_a_static_transform_holds_at_any_time():
    assert find(Buffer({0: 1.2})).pose.translation[2] == 1.2


def test_the_newest_transform_within_the_age_allowed():
    late = Buffer({99_900_000_000: 1.0, 98 * SECOND: 7.0})
    found = find(late)
    assert found.pose.translation[2] == 1.0 and found.age_s == pytest.approx(0.1)
    with pytest.raises(DataError, match=r"more than 0.05 s .* raise pose_max_age"):
        find(late, pose_max_age=0.05)  # not the parameters: TF knows the camera, and is late


@pytest.mark.parametrize(
    ("buffer", "frame", "words"),
    [
        (Buffer({}), "lens", "TF does not connect lens to base_footprint"),
        (Buffer({0: 1.0}), "other", "TF does not connect other"),
        (Buffer({0: 1.0}), "", "no frame_id"),
        (None, "lens", "tf2_ros is not installed"),
    ],
)
def test_parameters_stand_in_where_tf_knows_nothing(buffer, frame, words):
    found = find(buffer, frame)
    assert found.source == "parameters" and found.age_s == 0
    assert found.pose.distance(Pose.from_mounting(0.8, 0.3, 0.0, 0.1, 0.2)) == (0, 0)
    with pytest.raises(DataError, match=f"{words}.*ground_pose to parameters"):
        find(buffer, frame, ground_pose="tf")
    with pytest.raises(DataError, match=f"{words}.*camera_height is not set"):
        find(buffer, frame, camera_height=0.0)
    with pytest.raises(DataError, match="one camera, not 2"):
        find(buffer, frame, cameras=2)


def test_parameters_can_be_asked_for():
    assert find(Buffer({0: 1.0}), ground_pose="parameters").pose.translation[2] == 0.8
    with pytest.raises(DataError, match="^camera_height is not set"):
        find(None, ground_pose="parameters", camera_height=0.0)


def test_a_transform_without_a_rotation_is_refused():
    class Broken(Buffer):
        def lookup_transform(self, *arguments):
            found = super().lookup_transform(*arguments)
            found.transform.rotation.x = found.transform.rotation.w = 0.0
            return found

    with pytest.raises(DataError, match="expected finite values and a rotation"):
        find(Broken({0: 1.0}))
