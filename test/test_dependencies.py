"""Everything imported is declared, and everything declared is imported, extra by extra."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import setuptools

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "bisenet_ros"
NAMES = {
    "cv2": "opencv-python",
    "PIL": "pillow",
    "rerun": "rerun-sdk",
    "rerun_cli": "rerun-sdk",
    "yaml": "pyyaml",
}  # import name to pip's
ROSDEP = {
    "numpy": "python3-numpy",
    "opencv-python": "python3-opencv",
    "pyyaml": "python3-yaml",
    "torch": "python3-torch",
    "safetensors": None,  # has no rosdep key
}
# What each extra serves; those who use the folders of one have installed the ones after it, too.
SERVES = {
    "node": (
        "errors.py",
        "labels.py",
        "networks",
        "checkpoints",
        "inference",
        "projection",
        "ros/segmentation",
    ),
    "tools": ("cli", "recordings", "report", "demo", "benchmark", "datasets", "metrics", "replay"),
    "train": ("training", "selftest"),
}
NEEDS = {"node": (), "tools": ("node",), "train": ("node", "tools")}
# Imported by another package of the extra, or by name where it is needed.
INDIRECT = {"train": {"tensorboardx"}, "openvino": {"onnx"}, "onnx": set()}
FROM_THE_BOARD = {"tensorrt"}  # comes with JetPack or NVIDIA's own installer, for its GPU
BY_NAME = re.compile(r'(?:needed|find_spec|installed)\(\s*"([a-z_]+)[".]')


@pytest.fixture(scope="module")
def extras() -> dict[str, set[str]]:
    """pip's names in each extra of setup.py."""
    handed: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(setuptools, "setup", lambda **keywords: handed.update(keywords))
        runpy.run_path("setup.py")
    return {
        extra: {re.split(r"[\[<>=;]", line)[0].strip().lower() for line in lines}
        for extra, lines in handed["extras_require"].items()
    }


def imported(*places: str) -> set[str]:
    """pip's names of the packages that files and folders of the package import."""
    names: set[str] = set()
    for place in places:
        path = PACKAGE / place
        for file in [path] if path.is_file() else path.rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            names |= set(BY_NAME.findall(text))
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module.split(".")[0])
    ours = names - set(sys.stdlib_module_names) - {"bisenet_ros", *FROM_THE_BOARD}
    return {NAMES.get(name, name).lower() for name in ours}


def from_ros(names: set[str]) -> set[str]:
    return {
        n
        for n in names
        if re.fullmatch(r"rclpy|cv_bridge|tf2_ros|launch.*|.*_(msgs|srvs|interfaces)", n)
    }


OPTIONAL = (
    "onnx",
    "openvino",
    "int8",
    "triton",
    "huggingface",
    "viewer",
    "fleet",
)  # their packages are imported where they are needed


@pytest.mark.parametrize("extra", SERVES)
def test_everything_imported_is_declared(extras, extra):
    there = set().union(*(extras[name] for name in (extra, *NEEDS[extra], *OPTIONAL)))
    names = imported(*SERVES[extra])
    assert names - from_ros(names) - there == set()


@pytest.mark.parametrize("extra", SERVES)
def test_everything_declared_is_imported(extras, extra):
    assert extras[extra] - imported(*SERVES[extra]) - INDIRECT.get(extra, set()) == set()


@pytest.mark.parametrize("extra", OPTIONAL)
def test_optional_packages_are_imported_where_they_are_needed(extras, extra):
    names = imported("inference", "datasets", "recordings", "replay", "report")
    assert extras[extra] - names - INDIRECT.get(extra, set()) == set()


def test_every_folder_is_served_by_an_extra():
    served = {place.split("/")[0] for places in SERVES.values() for place in places}
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert folders - served == {"system"}  # which everything uses
    assert imported("system") <= {"torch", "numpy", "opencv-python", "pyyaml"}


def test_ros_packages_are_declared_for_pip_and_for_rosdep(extras):
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    listed = {element.text for element in manifest.iter("exec_depend")}
    names = from_ros(imported("ros"))
    assert names - listed == set()
    pip = {name.removeprefix("ros-").replace("-", "_") for name in extras["ros"]}
    # The first three are not on PyPI; builtin_interfaces comes with the others.
    assert names - pip <= {"cv_bridge", "tf2_ros", "vision_msgs", "builtin_interfaces"}
    assert pip - names == {"lifecycle_msgs"}  # rclpy's lifecycle nodes import it


def test_the_nodes_packages_have_rosdep_keys(extras):
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    listed = {element.text for element in manifest.iter("exec_depend")}
    assert set(ROSDEP) == extras["node"]
    assert {key for key in ROSDEP.values() if key} <= listed
    messages = {n for n in listed if re.fullmatch(r".*_(msgs|srvs|interfaces)", n)}
    assert messages - from_ros(imported("ros")) == {"lifecycle_msgs"}
