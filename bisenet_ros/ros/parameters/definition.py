"""The node's parameters, declared once.

Descriptors, validation, config/segment.yaml and the README's table all come from
:class:`Parameters`; ``test/ros/parameters/test_parameters.py`` keeps them equal.
"""

from __future__ import annotations

import dataclasses
import math
from array import array
from dataclasses import dataclass, field
from typing import Any

from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference.engines import ENGINES

LOWEST_RATE = 0.01  # Hz; a frame in 100 s
PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8")
RELIABILITIES = ("auto", "reliable", "best_effort")
TRANSPORTS = ("raw", "compressed")
GROUND_POSES = ("auto", "tf", "parameters")
SCALES = (1.0, 0.5, 0.25, 0.125)
ANGLE = 3.15  # radians; half a turn


def _parameter(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
    single: bool = False,  # of a list: one value may be given without brackets
) -> Any:
    metadata = {
        "description": description,
        "low": low,
        "high": high,
        "choices": choices,
        "live": live,
        "single": single,
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

    output_scale: float = _parameter(
        1.0,
        "size of mask, confidence, overlay, points and camera_info relative to the image: 1, 0.5, "
        "0.25 or 0.125; classes are decided at that size",
        low=0.125,
        high=1.0,
        live=True,
    )
    label_map: str = _parameter(
        "",
        "groups of classes that the outputs show: a YAML file, or the name of one in "
        "config/label_maps; empty: the classes of the weights",
        live=True,
    )
    rotation: list[int] = _parameter(
        [0],
        "clockwise turn that puts the images upright: 0, 90, 180 or 270 degrees; one value for all "
        "cameras, or one per camera in their order",
        live=True,
        single=True,
    )
    image_rectified: bool = _parameter(
        False, "whether the images are rectified: project with P, not with K and D", live=True
    )
    depth_topic: list[str] = _parameter(
        [],
        "depth images registered to the cameras, for ~/points: one topic per camera, in their "
        "order; a topic that ends in /compressedDepth is a sensor_msgs/CompressedImage",
        single=True,
    )
    depth_max_dt: float = _parameter(
        0.02,
        "seconds at most between the stamps of an image and its depth image",
        low=0.0,
        high=1.0,
        live=True,
    )
    ground_frame: str = _parameter(
        "base_footprint", "frame whose plane z = 0 is the ground, for ~/ground", live=True
    )
    ground_pose: str = _parameter(
        "auto",
        "where the camera's pose over the ground comes from; auto: TF, or camera_height and the "
        "others where TF does not connect the frames",
        choices=GROUND_POSES,
        live=True,
    )
    pose_max_age: float = _parameter(
        0.2,
        "seconds between an image and the transform used where TF has none at its stamp",
        low=0.0,
        high=60.0,
        live=True,
    )
    pose_tolerance: float = _parameter(
        0.002,
        "metres or radians that the camera may move before the ground projection is recomputed",
        low=0.0,
        high=1.0,
        live=True,
    )
    camera_height: float = _parameter(
        0.0, "metres of the camera above the ground; 0: not known", low=0.0, high=100.0, live=True
    )
    camera_pitch: float = _parameter(
        0.0, "radians, positive looks down (REP 103)", low=-ANGLE, high=ANGLE, live=True
    )
    camera_roll: float = _parameter(
        0.0, "radians, positive turns the camera clockwise", low=-ANGLE, high=ANGLE, live=True
    )
    camera_yaw: float = _parameter(
        0.0, "radians, positive turns the camera left", low=-ANGLE, high=ANGLE, live=True
    )
    camera_x: float = _parameter(
        0.0,
        "metres of the camera ahead of ground_frame",
        low=-100.0,
        high=100.0,
        live=True,
    )
    camera_y: float = _parameter(
        0.0, "metres of the camera to the left of ground_frame", low=-100.0, high=100.0, live=True
    )
    ground_resolution: float = _parameter(
        0.05, "side of a cell of ~/ground in metres", low=0.005, high=1.0, live=True
    )
    ground_x_min: float = _parameter(
        0.3, "metres ahead at which ~/ground begins", low=-100.0, high=200.0, live=True
    )
    ground_x_max: float = _parameter(
        8.0, "metres ahead at which ~/ground ends", low=-100.0, high=200.0, live=True
    )
    ground_y_max: float = _parameter(
        4.0, "metres that ~/ground reaches to either side", low=0.005, high=100.0, live=True
    )
    ground_costs: str = _parameter(
        "",
        "cost of each class on ~/ground: a YAML file, or the name of one in config/costs; empty: "
        "the one there that fits the mask's classes",
        live=True,
    )

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Requested (height, width), or None if the weights file decides."""
        if self.input_width and self.input_height:
            return self.input_height, self.input_width
        return None

    def topics(self) -> list[str]:
        """The requested camera topics."""
        return list(self.image_topics) or [self.image_topic]

    def of_camera(self, name: str, index: int, default: Any) -> Any:
        """A camera's own value of a parameter that has one per camera, or one for all."""
        values = getattr(self, name)
        if not values:
            return default
        return values[index if len(values) > 1 else 0]

    def rotation_of(self, index: int) -> int:
        """The rotation of a camera in degrees; 0 where it is set to something impossible."""
        degrees = self.of_camera("rotation", index, 0)
        return int(degrees) if degrees % 90 == 0 else 0


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
    if metadata["single"] and not isinstance(value, list | tuple | array):
        value = [value]
    if not _type_fits(name, value):
        raise ArgumentError(f"{name} is {value!r}; expected type: {_type_name(name)}")
    choices, low, high = metadata["choices"], metadata["low"], metadata["high"]
    if choices and value not in choices:
        raise ArgumentError(f"{name} is {value!r}; expected one of {expected(name)}")
    if low is not None and not (math.isfinite(value) and low <= value <= high):
        raise ArgumentError(f"{name} is {value!r}; expected {expected(name)}")
    default = getattr(_DEFAULTS, name)
    if isinstance(default, list):
        return [entry for entry in value if entry != ""]
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
    if parameters.output_scale not in SCALES:
        known = ", ".join(f"{scale:g}" for scale in SCALES)
        raise ArgumentError(f"output_scale is {parameters.output_scale:g}; expected {known}")
    topics = parameters.topics()
    for name, few in (("rotation", 1), ("depth_topic", 0)):
        count = len(getattr(parameters, name))
        if count not in (few, len(topics)):
            raise ArgumentError(
                f"{name} has {count} values for {len(topics)} cameras; pass one per camera"
            )
    if len(set(topics)) != len(topics):
        raise ArgumentError(f"image_topics is {', '.join(topics)}; remove the duplicate topics")


def _type_fits(name: str, value: Any) -> bool:
    default = getattr(_DEFAULTS, name)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, list):
        kind = type(default[0]) if default else str
        return isinstance(value, list | tuple | array) and all(type(v) is kind for v in value)
    return type(value) is type(default)


def _type_name(name: str) -> str:
    default = getattr(_DEFAULTS, name)
    names = {str: "string", int: "integer", float: "number", bool: "true or false"}
    kind = "list of strings" if not default else "list of integers"
    return names.get(type(default), kind)


_DEFAULTS = Parameters()
