"""The package's ROS programs, as the command line starts them in processes of their own."""

from __future__ import annotations

import sys


def ros_executable(name: str) -> list[str]:
    """Command line, without arguments, of ``bisenet_ros/ros/NAME.py`` in this Python."""
    return [sys.executable, "-m", f"bisenet_ros.ros.{name}"]
