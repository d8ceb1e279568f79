"""What it costs a robot to drive on a class, from a YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.system.yaml_file import read_yaml

FREE = 0
LETHAL = 100  # an obstacle: nothing is seen behind it
UNKNOWN = -1


def read_costs(path: str | Path, names: Sequence[str]) -> np.ndarray:
    """Read ``costs: {class name: 0…100 or -1}``, as in config/costs/.

    Args:
        path: the file.
        names: of the mask's classes, in the order of their ids; those that it leaves out get −1.

    Returns:
        (256,) int8: the cost of each id, −1 for ids without a class, 255 among them.

    Raises:
        DataError: the file cannot be read, has another form, names a class twice or one that the
            mask does not have (those it has are listed), or a cost is out of range.
    """
    content = read_yaml(path)
    costs = content.get("costs") if isinstance(content, dict) else None
    if not isinstance(costs, dict) or not costs:
        raise DataError(
            f"{path}: expected 'costs:' with a line 'class name: 0…100 or -1' per class"
        )
    table = np.full(256, UNKNOWN, np.int8)
    unknown = [str(name) for name in costs if name not in names]
    if unknown:
        raise DataError(
            f"{path}: the mask has no class {', '.join(map(repr, unknown))}; its classes are "
            f"{', '.join(names)}"
        )
    for name, cost in costs.items():
        table[list(names).index(name)] = _checked(cost, name, path)
    return table


def _checked(cost: Any, name: str, path: str | Path) -> int:
    if isinstance(cost, bool) or not isinstance(cost, int) or not UNKNOWN <= cost <= LETHAL:
        raise DataError(
            f"{path}: the cost of {name!r} is {cost!r}; expected a whole number from {FREE} (free) "
            f"to {LETHAL} (an obstacle), or {UNKNOWN} (unknown)"
        )
    return cost
