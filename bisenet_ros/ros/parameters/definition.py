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

LOWEST_RATE = 0.01  # Hz; a frame in 100 s
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
        0, "required number of classes; 0: taken from the weights file", low=0, high=255
    )
    input_width: int = _parameter(
        0, "network input width in pixels; 0: taken from the weights file", low=0, high=8192
    )
    input_height: int = _parameter(
        0, "network input height in pixels; 0: taken from the weights file", low=0, high=8192
    )
    any_input_size: bool = _parameter(
        False, "allow an input size other than the one the weights were trained at"
    )
    image_topic: str = _parameter("/camera/image_raw", "camera topic, for a single camera")
    image_topics: list[str] = _parameter(
        [], "camera topics, for several cameras sharing one model; overrides image_topic"
    )
    image_transport: str = _parameter(
        "raw",
        "raw: sensor_msgs/Image; compressed: sensor_msgs/CompressedImage on <topic>/compressed",
        choices=TRANSPORTS,
    )
    image_reliability: str = _parameter(
        "auto",
        "reliability of the camera subscription; auto: reliable if every publisher offers it",
        choices=RELIABILITIES,
    )
    rate: float = _parameter(
        15.0,
        "maximum inference rate per camera, in Hz, at least 0.01; 0: every frame",
        low=0.0,
        high=1000.0,
        live=True,
    )
    device: str = _parameter("auto", "cuda, cuda:N, cpu or auto; auto: a GPU if there is one")
    precision: str = _parameter(
        "auto",
        "numeric precision of the network; auto: the fastest that keeps the masks accurate",
        choices=PRECISIONS,
    )
    engine: str = _parameter(
        "auto",
        "inference engine; auto: the fastest accurate one available",
        choices=("auto", *ENGINES),
    )
    adaptive: bool = _parameter(
        False,
        "lower the input resolution while the target rate cannot be met, and raise it again later",
    )
    threads: int = _parameter(
        0, "CPU threads used for inference; 0: one per core", low=0, high=1024
    )
    overlay_alpha: float = _parameter(
        0.5, "opacity of the class colours in the overlay", low=0.0, high=1.0, live=True
    )
    confidence_threshold: float = _parameter(
        0.0,
        "pixels whose class probability is below this become 255 (unlabelled)",
        low=0.0,
        high=1.0,
        live=True,
    )
    publish_confidence: bool = _parameter(
        False, "publish the confidence map even without subscribers"
    )
    jpeg_quality: int = _parameter(
        80, "JPEG quality of ~/overlay/compressed", low=1, high=100, live=True
    )
    stale_after: float = _parameter(
        2.0, "seconds without a frame before a camera is reported STALE", low=0.1, high=3600.0
    )
    max_failures: int = _parameter(
        5, "consecutive failed inferences before the model reports ERROR", low=1, high=1000
    )
    clean_shared_memory: bool = _parameter(
        True,
        "on startup, remove Fast DDS shared-memory segments left behind by killed processes",
    )
    autostart: bool = _parameter(True, "configure and activate the node on startup")

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Requested (height, width), or None if the weights file decides."""
        if self.input_width and self.input_height:
            return self.input_height, self.input_width
        return None

    def topics(self) -> list[str]:
        """The requested camera topics."""
        return list(self.image_topics) or [self.image_topic]


FIELDS = {f.name: f for f in dataclasses.fields(Parameters)}


def expected(name: str) -> str:
    """The allowed values in words: ``0.0 to 1.0`` or ``raw, compressed``."""
    metadata = FIELDS[name].metadata
    if metadata["choices"]:
        return ", ".join(metadata["choices"])
    if metadata["low"] is not None:
        return f"{metadata['low']} to {metadata['high']}"
    return _type_name(name)


def checked(name: str, value: Any) -> Any:
    """Validate and normalise ``value``: integers become floats, empty topics are dropped.

    Raises:
        ArgumentError: wrong type or out of range; the message gives the range.
    """
    metadata = FIELDS[name].metadata
    if not _type_fits(name, value):
        raise ArgumentError(f"{name} is {value!r}; expected type: {_type_name(name)}")
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
    """Raise :class:`ArgumentError` if two parameters contradict each other."""
    if bool(parameters.input_width) != bool(parameters.input_height):
        raise ArgumentError(
            f"input_width is {parameters.input_width} but input_height is "
            f"{parameters.input_height}; set both, or leave both at 0"
        )
    if 0 < parameters.rate < LOWEST_RATE:
        raise ArgumentError(
            f"rate is {parameters.rate:g}; expected 0 (every frame) or {LOWEST_RATE:g} to 1000 Hz"
        )
    topics = parameters.topics()
    if len(set(topics)) != len(topics):
        raise ArgumentError(f"image_topics is {', '.join(topics)}; remove the duplicate topics")


def _type_fits(name: str, value: Any) -> bool:
    default = getattr(_DEFAULTS, name)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, list):
        return isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
    return type(value) is type(default)


def _type_name(name: str) -> str:
    default = getattr(_DEFAULTS, name)
    names = {str: "string", int: "integer", float: "number", bool: "true or false"}
    return names.get(type(default), "list of strings")


_DEFAULTS = Parameters()
