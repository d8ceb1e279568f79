"""Which extra brings a missing module."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from bisenet_ros.system.optional import EXTRA_OF, installation

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"cv2": "opencv-python", "yaml": "pyyaml", "PIL": "pillow"}


def extras() -> dict[str, set[str]]:
    tree = ast.parse((ROOT / "setup.py").read_text())
    value = next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "EXTRAS"
    )
    listed = ast.literal_eval(value)
    return {name: {re.split(r"[\[<>=;]", p)[0] for p in found} for name, found in listed.items()}


def test_every_module_is_in_the_extra_that_is_named():
    listed = extras()
    for module, extra in EXTRA_OF.items():
        package = PACKAGES.get(module, module).lower()
        if extra == "ros":
            package = f"ros-{package.replace('_', '-')}"
        assert package in listed[extra], module


def test_a_submodule_is_its_packages():
    assert installation("rosbags.rosbag2") == "run pip install 'bisenet_ros[tools]'"
    assert installation("sensor_msgs.msg").startswith("source a ROS 2")
    assert installation("unheard_of") == "install unheard_of"
