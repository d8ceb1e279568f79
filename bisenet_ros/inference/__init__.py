"""Camera pixels to class ids, confidence and overlay; knows no ROS."""

from bisenet_ros.inference.segmenter import Result, Segmenter, Wanted

__all__ = ["Result", "Segmenter", "Wanted"]
