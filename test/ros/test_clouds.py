"""Structured arrays as PointCloud2."""

from __future__ import annotations

import numpy as np
import pytest
from std_msgs.msg import Header

from bisenet_ros.projection.ground import BASE
from bisenet_ros.projection.points import POINT
from bisenet_ros.ros.clouds import Cloud


@pytest.mark.parametrize(("dtype", "shape"), [(POINT, (3, 4)), (BASE, (1, 5)), (BASE, (1, 0))])
def test_what_is_written_to_the_points_is_what_the_message_sends(dtype, shape):
    cloud = Cloud(dtype, shape, is_dense=False)
    for value in (7, 8):  # the second time in the same memory
        cloud.points["x"], cloud.points["label"] = value + 0.5, value
        message = cloud.under(Header(frame_id=str(value)))
        assert message.header.frame_id == str(value)
        sent = np.frombuffer(bytes(message.data), dtype).reshape(shape)
        assert (sent["x"] == value + 0.5).all() and (sent["label"] == value).all()
    assert (message.height, message.width) == shape
    assert len(message.data) == message.row_step * message.height == sent.nbytes
    assert [field.name for field in message.fields] == list(dtype.names)
