"""How the command line starts the package's ROS nodes in their own processes."""

from __future__ import annotations

import sys


def ros_executable(name: str) -> list[str]:
    """Command line, without arguments, of ``bisenet_ros/ros/NAME.py`` in this Python."""
    return [sys.executable, "-m", f"bisenet_ros.ros.{name}"]
