"""Launch arguments and how they map to node parameters, as plain values.

The launch files turn these into launch's own objects; this module needs no launch to be tested.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisenet_ros.errors import ArgumentError
from bisenet_ros.ros.parameters.definition import FIELDS, Parameters, checked, expected
from bisenet_ros.system.environment import recommended_environment
from bisenet_ros.system.paths import expanded

TIMEOUT_S = (
    "4.0"  # seconds; the node exits within 2 of SIGINT, an overloaded machine may need twice that
)
BOOLEANS = ("true", "false", "True", "False")  # Python launch files pass the latter two
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")


@dataclass(frozen=True)
class Argument:
    """One launch argument: what ``--show-args`` prints.

    Without ``default`` it is required; without ``choices`` it accepts any text.
    """

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...] = ()

    @property
    def declaration(self) -> dict[str, Any]:
        """Keyword arguments of launch's ``DeclareLaunchArgument``."""
        choices = list(self.choices) or None  # launch refuses an empty list
        return {
            "name": self.name,
            "default_value": self.default,
            "description": self.description,
            "choices": choices,
        }


def _of_parameter(name: str) -> Argument:
    """The launch argument that sets the node parameter ``name``."""
    default, metadata = getattr(Parameters(), name), FIELDS[name].metadata
    description = metadata["description"]
    if metadata["low"] is not None:
        description += f" ({expected(name)})"
    if isinstance(default, list):
        return Argument(name, ",".join(default), f"{description}: /a,/b or [/a, /b]")
    if isinstance(default, bool):
        return Argument(name, str(default).lower(), description, BOOLEANS)
    return Argument(name, str(default), description, metadata["choices"])


# Node parameters that can be set as launch arguments; the others need a params file.
PARAMETERS = (
    "weights",
    "num_classes",
    "input_width",
    "input_height",
    "any_input_size",
    "image_topic",
    "image_topics",
    "image_transport",
    "rate",
    "device",
    "precision",
    "engine",
    "adaptive",
    "overlay_alpha",
    "autostart",
)


def segment_arguments(params_file: str) -> tuple[Argument, ...]:
    """The arguments of segment.launch.py; ``params_file`` is the default of that argument."""
    return (
        *map(_of_parameter, PARAMETERS),
        Argument("params_file", params_file, "YAML parameter file; launch arguments override it"),
        Argument("namespace", "", "namespace of the node and its topics"),
        Argument("node_name", "bisenet", "name of the node; prefix of its topics"),
        Argument("use_sim_time", "false", "use the time from /clock", BOOLEANS),
        Argument("rviz", "false", "show camera, mask and overlay in rviz2", BOOLEANS),
        Argument("log_level", "info", "minimum severity of logged messages", LOG_LEVELS),
    )


REPLAY = (
    Argument("bag", None, "rosbag2 to play: a bag folder, .mcap or .db3 file"),
    Argument(
        "rate_factor",
        "1.0",
        "playback speed; 1.0: as recorded, 0: as fast as every frame is served",
    ),
    Argument("loop", "false", "restart the bag when it ends", BOOLEANS),
    Argument("labels_topic", "/camera/labels", "ground-truth class ids in the bag; empty: none"),
    Argument("out", "out/replay", "output folder for the scores; ~ and variables are resolved"),
)


def node_parameters(given: Mapping[str, str]) -> dict[str, Any]:
    """Node parameters set by the launch arguments ``given``, converted to their types.

    Only arguments that were given are included, so the params file decides the rest. Arguments
    that are not node parameters are left out.

    Raises:
        ArgumentError: a value does not fit its parameter; names both, and what is allowed.
    """
    chosen = {name: _typed(name, given[name]) for name in PARAMETERS if name in given}
    if "use_sim_time" in given:
        chosen["use_sim_time"] = _boolean("use_sim_time", given["use_sim_time"])
    if "image_topic" in chosen and "image_topics" not in chosen:
        # image_topic on the command line replaces any image_topics in the params file.
        chosen["image_topics"] = [""]
    return chosen


def process_options(configurations: Mapping[str, str]) -> dict[str, Any]:
    """Options of every process that the launch files start: environment, output, shutdown.

    ``configurations`` are launch's own; a ``launch-prefix`` in it (a debugger, say) is kept. Give
    each process a name as well, or launch names it after its prefix.
    """
    options = {
        "additional_env": recommended_environment(os.environ),
        "output": "screen",
        "sigterm_timeout": TIMEOUT_S,
        "sigkill_timeout": TIMEOUT_S,
    }
    if shutil.which("setpriv") and "launch-prefix" not in configurations:
        # A launch killed by SIGTERM leaves its children running; with this they get SIGINT.
        options["prefix"] = "setpriv --pdeathsig INT"
    return options


def is_true(text: str) -> bool:
    """Whether a launch argument, one of ``BOOLEANS``, is true."""
    return text.lower() == "true"


def rate_factor(text: str) -> float:
    """The launch argument ``rate_factor`` as a number of 0 or more, or :class:`ArgumentError`."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise ArgumentError(
            f"rate_factor is {text!r}; expected a number above 0, or 0 for as fast as every frame "
            "is served"
        )
    return value


def existing_file(name: str, text: str) -> str:
    """The path that a launch argument names, ``~`` resolved, or :class:`ArgumentError`."""
    path = Path(expanded(text))
    if not path.is_file():
        raise ArgumentError(f"{name} is {text!r}, which does not exist; pass {name}:=PATH")
    return str(path)


def full_name(*parts: str) -> str:
    """A node's or topic's absolute name: ``parts`` joined, starting at the last absolute one."""
    whole: list[str] = []
    for part in parts:
        whole = [part] if part.startswith("/") else [*whole, part]
    return "/" + "/".join(word for part in whole for word in part.split("/") if word)


def image_topics(chosen: Mapping[str, str]) -> list[str]:
    """The camera topics that a launch line decides; empty if a params file may decide them."""
    if chosen.get("image_topics"):
        return [topic for topic in _topics(chosen["image_topics"]) if topic]
    if "params_file" in chosen and "image_topic" not in chosen:
        return []
    return [chosen.get("image_topic", Parameters().image_topic)]


def has_package(name: str) -> bool:
    """Whether a ROS package is installed, by the ament index."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    index = f"share/ament_index/resource_index/packages/{name}"
    return any((Path(prefix) / index).exists() for prefix in prefixes if prefix)


def fail(context: Any, reason: str) -> None:
    """Make ``ros2 launch`` end with exit code 1 and this line, without shutting anything down.

    launch has no action for that: it counts what reaches the exception handler of its loop.

    Args:
        context: a ``launch.LaunchContext``.
        reason: what went wrong.
    """
    context.asyncio_loop.call_exception_handler({"message": reason})


def _typed(name: str, text: str) -> Any:
    """The launch argument ``name`` converted to its parameter's type and validated."""
    default = getattr(Parameters(), name)
    value: Any = text
    if isinstance(default, bool):
        return _boolean(name, text)
    if isinstance(default, list):
        # An empty list has no type in a params file; one empty topic is equivalent.
        return checked(name, _topics(text)) or [""]
    if isinstance(default, int | float):
        try:
            value = type(default)(text)
        except ValueError:
            raise ArgumentError(f"{name} is {text!r}; expected {expected(name)}") from None
    return checked(name, value)


def _topics(text: str) -> list[str]:
    """``/a,/b`` or ``[/a, '/b']`` as a list."""
    words = text.strip().removeprefix("[").removesuffix("]").split(",")
    return [word.strip().strip("'\"") for word in words]


def _boolean(name: str, text: str) -> bool:
    if text not in BOOLEANS:
        raise ArgumentError(f"{name} is {text!r}; expected true or false")
    return is_true(text)
