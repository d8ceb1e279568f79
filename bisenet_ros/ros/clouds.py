"""Structured arrays as sensor_msgs/PointCloud2."""

from __future__ import annotations

import sys
from array import array

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

TYPES = {"f4": PointField.FLOAT32, "u4": PointField.UINT32}


class Cloud:
    """A message whose memory is used again for every cloud of the same type and size.

    Args:
        dtype: structured, without padding; its fields become the cloud's.
        shape: (height, width) of an organised cloud, (1, n) of another.
        is_dense: whether no point is NaN.
    """

    def __init__(self, dtype: np.dtype, shape: tuple[int, int], is_dense: bool) -> None:
        self.shape, self.dtype = shape, dtype
        message = PointCloud2()
        message.height, message.width = shape
        message.fields = [
            PointField(name=name, offset=place[1], datatype=TYPES[place[0].str[1:]], count=1)
            for name, place in (dtype.fields or {}).items()
        ]
        message.point_step = dtype.itemsize
        message.row_step = dtype.itemsize * shape[1]
        message.is_bigendian = sys.byteorder == "big"
        message.is_dense = is_dense
        message.data = array("B", bytes(dtype.itemsize * shape[0] * shape[1]))
        self.message = message
        # Of the message's own array: some distributions copy what they are given.
        self.points = np.frombuffer(message.data, dtype).reshape(shape)

    def under(self, header: Header) -> PointCloud2:
        """The message with a header; valid until ``points`` are written again."""
        self.message.header = header
        return self.message
