"""Camera pixels to class ids, confidence and overlay; knows no ROS.

The names below import torch on first access, so that modules which only need
``inference.image_encodings``, such as the camera player, start without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bisenet_ros.inference.segmenter import OutputRequest, Result, Segmenter

__all__ = ["Result", "Segmenter", "OutputRequest"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from bisenet_ros.inference import segmenter

        return getattr(segmenter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
