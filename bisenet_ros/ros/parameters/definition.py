"""The node's parameters, declared once.

Descriptors, validation, config/segment.yaml and the README's table all come from
:class:`Parameters`; ``test/ros/parameters/test_parameters.py`` keeps them equal.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference.engines import ENGINES

PRECISIONS = ("auto", "fp32", "fp16", "bf16")
RELIABILITIES = ("auto", "reliable", "best_effort")
TRANSPORTS = ("raw", "compressed")


def _parameter(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    metadata = {
        "description": description,
        "low": low,
        "high": high,
        "choices": choices,
        "live": live,
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Parameters:
    """Every parameter of the node; ``live`` ones can be set while it runs."""

    weights: str = _parameter(
        "", "weights file (safetensors); empty: the one shipped with the package", live=True
    )
    num_classes: int = _parameter(
        0, "classes the weights must have; 0: as the weights say", low=0, high=255
    )
    input_width: int = _parameter(
        0, "width in pixels the network sees; 0: as the weights say", low=0, high=8192
    )
    input_height: int = _parameter(
        0, "height in pixels the network sees; 0: as the weights say", low=0, high=8192
    )
    any_input_size: bool = _parameter(
        False, "accept an input size other than the one the weights were trained at"
    )
    image_topic: str = _parameter("/camera/image_raw", "camera topic, for one camera")
    image_topics: list[str] = _parameter(
        [], "camera topics, for several cameras on one model; overrides image_topic"
    )
    image_transport: str = _parameter(
        "raw",
        "raw: sensor_msgs/Image; compressed: sensor_msgs/CompressedImage on <topic>/compressed",
        choices=TRANSPORTS,
    )
    image_reliability: str = _parameter(
        "auto",
        "QoS of the camera subscription; auto: reliable where the publisher offers it",
        choices=RELIABILITIES,
    )
    rate: float = _parameter(
        15.0,
        "inferences a second and camera at most; 0: every frame",
        low=0.0,
        high=1000.0,
        live=True,
    )
    device: str = _parameter("auto", "cuda, cuda:N, cpu, or auto: a GPU if there is one")
    precision: str = _parameter(
        "auto", "arithmetic of the network; auto: the fastest that is exact", choices=PRECISIONS
    )
    engine: str = _parameter(
        "auto",
        "what runs the network; auto: the fastest exact one here",
        choices=("auto", *ENGINES),
    )
    adaptive: bool = _parameter(
        False, "step down to a smaller input size while the rate cannot be held, and up again"
    )
    threads: int = _parameter(
        0, "CPU threads of the network; 0: one for each core", low=0, high=1024
    )
    overlay_alpha: float = _parameter(
        0.5, "opacity of the palette in the overlay", low=0.0, high=1.0, live=True
    )
    confidence_threshold: float = _parameter(
        0.0,
        "pixels whose class is less probable than this become 255 (unlabelled)",
        low=0.0,
        high=1.0,
        live=True,
    )
    publish_confidence: bool = _parameter(
        False, "build the confidence map even when nobody subscribes to it"
    )
    jpeg_quality: int = _parameter(
        80, "quality of ~/overlay/compressed", low=1, high=100, live=True
    )
    stale_after: float = _parameter(
        2.0, "seconds without a frame after which a camera is STALE", low=0.1, high=3600.0
    )
    max_failures: int = _parameter(
        5, "failed inferences in a row after which the model is in ERROR", low=1, high=1000
    )
    autostart: bool = _parameter(True, "configure and activate at start")

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(height, width) asked for, or None where the weights decide."""
        if self.input_width and self.input_height:
            return self.input_height, self.input_width
        return None

    def topics(self) -> list[str]:
        """The camera topics asked for."""
        return list(self.image_topics) or [self.image_topic]


FIELDS = {f.name: f for f in dataclasses.fields(Parameters)}


def expected(name: str) -> str:
    """What values the parameter takes, in words: ``0.0 to 1.0`` or ``raw, compressed``."""
    metadata = FIELDS[name].metadata
    if metadata["choices"]:
        return ", ".join(metadata["choices"])
    if metadata["low"] is not None:
        return f"{metadata['low']} to {metadata['high']}"
    return _type_name(name)


def checked(name: str, value: Any) -> Any:
    """``value`` as the parameter holds it: whole numbers become floats, empty topics go.

    Raises:
        ArgumentError: it does not fit the parameter; the range is in the message.
    """
    metadata = FIELDS[name].metadata
    if not _type_fits(name, value):
        raise ArgumentError(f"{name} is {value!r}; expected a {_type_name(name)}")
    choices, low, high = metadata["choices"], metadata["low"], metadata["high"]
    if choices and value not in choices:
        raise ArgumentError(f"{name} is {value!r}; expected one of {expected(name)}")
    if low is not None and not (math.isfinite(value) and low <= value <= high):
        raise ArgumentError(f"{name} is {value!r}; expected {expected(name)}")
    default = getattr(_DEFAULTS, name)
    if isinstance(default, list):
        return [entry for entry in value if entry]
    return float(value) if isinstance(default, float) else value


def check_together(parameters: Parameters) -> None:
    """Raise :class:`ArgumentError` where two parameters contradict each other."""
    if bool(parameters.input_width) != bool(parameters.input_height):
        raise ArgumentError(
            f"input_width is {parameters.input_width} and input_height "
            f"{parameters.input_height}; give both, or 0 for both"
        )
    topics = parameters.topics()
    if len(set(topics)) != len(topics):
        raise ArgumentError(f"image_topics names a topic twice: {', '.join(topics)}")


def _type_fits(name: str, value: Any) -> bool:
    default = getattr(_DEFAULTS, name)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, list):
        return isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
    return type(value) is type(default)


def _type_name(name: str) -> str:
    default = getattr(_DEFAULTS, name)
    names = {str: "string", int: "whole number", float: "number", bool: "true or false"}
    return names.get(type(default), "list of strings")


_DEFAULTS = Parameters()
