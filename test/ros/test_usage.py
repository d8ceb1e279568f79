"""`--help` of the executables, and what they say where a package is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bisenet_ros.ros.parameters.definition import FIELDS
from bisenet_ros.ros.usage import wants_help

RUN = "import sys{}; from bisenet_ros.ros.{} import main; sys.exit(main({}))"


def run(name: str, *arguments: str, without: str = "") -> subprocess.CompletedProcess:
    hide = f"; sys.modules[{without!r}] = None" if without else ""
    code = RUN.format(hide, name, list(arguments))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("segmentation_node", [*FIELDS, "~/mask", "~/label_info", "~/reload", "usage: segm"]),
        ("evaluation_node", ["mask_topic", "stop_after_idle", "labels_topic", "usage: eval"]),
        ("camera_player", ["--wait-for-subscribers", "--also", "usage: camera_player"]),
    ],
)
def test_help_names_parameters_and_topics_and_starts_nothing(name, words):
    # Without rclpy where that is not needed to know them.
    without = "rclpy" if name != "evaluation_node" else ""
    done = run(name, "--help", without=without)
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    ("name", "without", "said"),
    [
        ("segmentation_node", "rclpy", "pip install 'bisenet_ros[ros]'"),
        ("evaluation_node", "rclpy", "source a ROS 2 distribution"),
        ("camera_player", "cv2", "pip install 'bisenet_ros[node]'"),
        ("segmentation_node", "numpy", "pip install 'bisenet_ros[node]'"),
    ],
)
def test_a_missing_package_is_one_line(name, without, said):
    done = run(name, without=without)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"{name}: needs {without}") and said in line


def test_help_may_stand_before_ros_arguments_only():
    assert wants_help(["-h"]) and wants_help(["x", "--help", "--ros-args"])
    assert not wants_help([]) and not wants_help(["--ros-args", "-p", "a:=--help", "--help"])
