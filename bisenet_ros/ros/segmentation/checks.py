"""What parameters say together, beyond the range of each."""

from __future__ import annotations

from bisenet_ros.errors import ArgumentError
from bisenet_ros.projection.rotation import quarter_turns
from bisenet_ros.ros.parameters.definition import Parameters, check_together
from bisenet_ros.ros.segmentation.ground import grid_of


def check(parameters: Parameters) -> None:
    """Raise :class:`ArgumentError` if parameters contradict each other."""
    check_together(parameters)
    grid_of(parameters)


def rotation_problem(parameters: Parameters) -> str:
    """Why images are not rotated as asked; empty if they are.

    A wrong rotation is refused while the node runs; at start it is no reason to go without masks.
    """
    try:
        for degrees in parameters.rotation:
            quarter_turns(degrees)
    except ArgumentError as error:
        return f"{error}; that camera's images are not rotated"
    return ""
