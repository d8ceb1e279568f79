"""Optional packages that only some features need, and the engines' cache folders."""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

from bisenet_ros.errors import ArgumentError

# The extra of this package that brings each module, where its absence is met first.
EXTRA_OF = {
    **dict.fromkeys(("numpy", "cv2", "yaml", "safetensors", "torch"), "node"),
    **dict.fromkeys(
        (
            "rclpy",
            "sensor_msgs",
            "std_msgs",
            "std_srvs",
            "diagnostic_msgs",
            "lifecycle_msgs",
            "rcl_interfaces",
            "rosgraph_msgs",
        ),
        "ros",
    ),
    **dict.fromkeys(
        ("av", "jinja2", "markupsafe", "mcap", "PIL", "rich", "rosbags", "typer", "zstandard"),
        "tools",
    ),
    **dict.fromkeys(("kornia", "lightning", "tensorboardX", "torchmetrics", "matplotlib"), "train"),
    "openvino": "openvino",
    **dict.fromkeys(("onnx", "onnxruntime"), "onnx"),
    "nncf": "int8",
    "datasets": "huggingface",
    "triton": "triton",
}


def installation(module: str) -> str:
    """What to do to get a module that is missing, in words."""
    extra = EXTRA_OF.get(module.split(".")[0])
    if extra is None:
        return f"install {module}"
    if extra == "ros":
        return "source a ROS 2 distribution, or run pip install 'bisenet_ros[ros]'"
    return f"run pip install 'bisenet_ros[{extra}]'"


def installed(package: str) -> bool:
    """Whether the package is installed; does not import it."""
    return importlib.util.find_spec(package) is not None


def needed(package: str, extra: str, what: str) -> Any:
    """Import an optional package.

    Raises:
        ArgumentError: it is not installed or cannot be loaded; says ``what`` needs it and which
            ``extra`` of this package installs it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == package.split(".")[0]
        problem = "is not installed" if missing else f"cannot be loaded ({error})"
        remedy = f"run pip install 'bisenet_ros[{extra}]'" if extra else installation(package)
        raise ArgumentError(f"{what} needs {package}, which {problem}; {remedy}") from error


def cache_folder(name: str) -> Path:
    """A per-user folder for files that can be regenerated; created if needed."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "bisenet_ros" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
