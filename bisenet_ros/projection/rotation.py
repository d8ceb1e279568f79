"""Images of cameras that are mounted on their side or upside down."""

from __future__ import annotations

import numpy as np

from bisenet_ros.errors import ArgumentError


def quarter_turns(degrees: int) -> int:
    """0 to 3 for a multiple of 90 degrees; ArgumentError for anything else."""
    if degrees % 90:
        raise ArgumentError(
            f"rotation is {degrees} degrees; expected 0, 90, 180 or 270: the clockwise turn that "
            "puts the image upright"
        )
    return int(degrees // 90 % 4)


def rotate(image: np.ndarray, degrees: int) -> np.ndarray:
    """Turn an image clockwise.

    Args:
        image: (H, W) or (H, W, C), any type.
        degrees: a multiple of 90.

    Returns:
        A view of ``image``, nothing is copied: (H, W, …) for 0 and 180, else (W, H, …).

    Raises:
        ArgumentError: ``degrees`` is not a multiple of 90.
    """
    return np.rot90(image, -quarter_turns(degrees))


def undo(image: np.ndarray, degrees: int) -> np.ndarray:
    """Turn an image back that :func:`rotate` turned by ``degrees``; again a view."""
    return np.rot90(image, quarter_turns(degrees))
