"""Parameters as rclpy wants them: declared, described, read back."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from bisenet_ros.ros.parameters.definition import FIELDS, Parameters, checked, expected


def declare(node: Node) -> Parameters:
    """Declare every parameter on ``node`` and return the values in force.

    Raises:
        ArgumentError: a value is not one of those the parameter takes.
        rclpy.exceptions.ParameterException: likewise, where rclpy notices first.
    """
    values: dict[str, Any] = {}
    for name in FIELDS:
        default = getattr(Parameters(), name)
        # An empty list has no type that rclpy could tell, so it travels as one empty string.
        given = node.declare_parameter(
            name, [""] if isinstance(default, list) else default, descriptor(name)
        ).value
        values[name] = checked(name, given)
    return Parameters(**values)


def descriptor(name: str) -> ParameterDescriptor:
    """Description, range and choices of a parameter."""
    metadata, default = FIELDS[name].metadata, getattr(Parameters(), name)
    text = metadata["description"]
    if metadata["choices"]:
        text += f" (one of {expected(name)})"
    made = ParameterDescriptor(description=text)
    # «rate: 15» is a whole number to YAML and must not be refused for it.
    made.dynamic_typing = isinstance(default, float)
    low, high = metadata["low"], metadata["high"]
    if isinstance(default, float):
        made.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    elif low is not None:
        made.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return made
