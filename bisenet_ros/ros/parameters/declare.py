"""Declares the parameters on an rclpy node and reads them back."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from bisenet_ros.ros.parameters.definition import FIELDS, Parameters, checked, expected


def declare(node: Node) -> Parameters:
    """Declare every parameter on ``node`` and return the current values.

    Raises:
        ArgumentError: a value has the wrong type or is out of range.
        rclpy.exceptions.ParameterException: the same, if rclpy notices first.
    """
    values: dict[str, Any] = {}
    for name in FIELDS:
        default = getattr(Parameters(), name)
        # rclpy cannot infer the type of an empty list, so it is declared as one empty string.
        given = node.declare_parameter(
            name, [""] if default == [] else default, descriptor(name)
        ).value
        values[name] = checked(name, given)
    return Parameters(**values)


def descriptor(name: str) -> ParameterDescriptor:
    """Description, range and choices of a parameter."""
    metadata, default = FIELDS[name].metadata, getattr(Parameters(), name)
    text = metadata["description"]
    if metadata["choices"]:
        text += f" (one of {expected(name)})"
    result = ParameterDescriptor(description=text)
    # YAML reads «rate: 15» as an integer; that must not be rejected.
    result.dynamic_typing = isinstance(default, float) or metadata["single"]
    low, high = metadata["low"], metadata["high"]
    if isinstance(default, float):
        result.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    elif low is not None:
        result.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return result
