"""Real-time semantic segmentation of camera images, for ROS 2 and for Python.

>>> from bisenet_ros import load
>>> segmenter = load()                                # the weights of the package
>>> mask = segmenter([image], "bgr")[0].mask          # (H, W) class ids, 255 unlabelled

What is named in ``__all__`` is imported on first access: ``import bisenet_ros`` alone is fast and
loads neither torch nor OpenCV.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bisenet_ros.version import __version__

# OpenCV reads this when it is imported, and then refuses larger images before it allocates them,
# whatever their headers say.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 26))

_MODULES = {
    "LabelSet": "bisenet_ros.labels",
    "OutputRequest": "bisenet_ros.inference",
    "Segmenter": "bisenet_ros.inference",
    "evaluate": "bisenet_ros.api",
    "load": "bisenet_ros.api",
    "train": "bisenet_ros.api",
}
__all__ = [
    "LabelSet",
    "OutputRequest",
    "Segmenter",
    "__version__",
    "evaluate",
    "load",
    "train",
]

if TYPE_CHECKING:
    from bisenet_ros.api import evaluate, load, train
    from bisenet_ros.inference import OutputRequest, Segmenter
    from bisenet_ros.labels import LabelSet


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        import importlib

        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
