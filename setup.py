"""Installs the package: by colcon into a ROS 2 workspace, by pip into a virtual environment."""

import re
from pathlib import Path

from setuptools import find_packages, setup

NAME = "bisenet_ros"
SHARED = ("launch", "config", "weights")  # files for launch files and users to open

EXECUTABLES = ("segmentation_node", "camera_player", "evaluation_node")

# On a robot the dependencies come from the distribution (package.xml, rosdep), under names that
# pip does not know: as requirements, pip would install a second OpenCV and gigabytes of CUDA next
# to them. So nothing is required by default, and a virtual environment installs extras.
EXTRAS = {
    "node": ["numpy", "opencv-python>=4.5,<5", "pyyaml", "safetensors", "torch>=2.0"],
    "ros": [
        "ros-rclpy[fastrtps]",
        "ros-sensor-msgs",
        "ros-std-msgs",
        "ros-std-srvs",
        "ros-diagnostic-msgs",
        "ros-lifecycle-msgs",
        "ros-nav-msgs",
        "ros-rcl-interfaces",
        "ros-rosgraph-msgs",
    ],
    "tools": [
        "av",
        "jinja2",
        "markupsafe",
        "matplotlib",
        "mcap",
        "pillow",
        "rich",
        "rosbags",
        "typer",
        "zstandard",
    ],
    # Engines other than torch, and `export` to their formats.
    "openvino": ["onnx", "openvino"],
    "onnx": ["onnx", "onnxruntime"],
    "int8": ["nncf"],
    "train": ["kornia", "lightning", "matplotlib", "tensorboardx", "torchmetrics"],
    "huggingface": ["datasets"],  # data sets in parquet files
    "viewer": ["rerun-sdk"],
    "fleet": ["fsspec", "ray"],  # recordings at URLs, scored on a cluster
    "triton": ["triton>=3.6"],  # comes with PyTorch's CUDA builds for PCs, not with Jetson's
    # Plants mistakes to see whether the tests notice: `make mutants`.
    "mutants": ["mutmut"],
    "test": [
        "hypothesis",
        "import-linter",
        "mypy",
        "playwright",  # with the system's Chromium; tests of pages are skipped without one
        "pycocotools",
        "pytest",
        "ruff",
        # Interprets and compiles the GPU kernels where there is no GPU.
        "triton>=3.6; platform_system == 'Linux' and platform_machine == 'x86_64'",
    ],
}


def version() -> str:
    """``__version__`` of the package, without importing it."""
    text = Path(NAME, "version.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)[0]


def shared_files() -> list[tuple[str, list[str]]]:
    """(folder below the prefix, files) for everything in ``SHARED``, with its folder structure."""
    files: dict[str, list[str]] = {}
    for top in SHARED:
        for path in sorted(Path(top).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                files.setdefault(f"share/{NAME}/{path.parent.as_posix()}", []).append(str(path))
    return list(files.items())


setup(
    name=NAME,
    version=version(),
    description="Real-time semantic segmentation of camera images with BiSeNetV2, for ROS 2",
    author="bisenet_ros maintainers",
    author_email="maintainers@bisenet-ros.org",
    maintainer="bisenet_ros maintainers",
    maintainer_email="maintainers@bisenet-ros.org",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={
        NAME: ["py.typed"],
        f"{NAME}.report": ["templates/*"],
        f"{NAME}.selftest": ["data/*"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared_files(),
    ],
    install_requires=[],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            f"{NAME} = {NAME}.cli:main",
            *(f"{name} = {NAME}.ros.{name}:main" for name in EXECUTABLES),
        ]
    },
    zip_safe=True,
)
