"""Small records of every frame of a recording, in arrays that grow."""

from __future__ import annotations

from typing import Any

import numpy as np

_FIRST = 256  # rows; doubled whenever they are full


class GrowingArray:
    """Rows of one shape and dtype, appended one at a time.

    Args:
        dtype: of the values.
        shape: of one row; () for single numbers.
    """

    def __init__(self, dtype: Any, shape: tuple[int, ...] = ()) -> None:
        self._rows = np.zeros((_FIRST, *shape), dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, row: Any) -> None:
        """Add a row."""
        if self._count == len(self._rows):
            # Not np.resize, which would fill the new half with copies.
            grown = np.zeros((2 * self._count, *self._rows.shape[1:]), self._rows.dtype)
            grown[: self._count] = self._rows
            self._rows = grown
        self._rows[self._count] = row
        self._count += 1

    def __setitem__(self, index: int, row: Any) -> None:
        self.values[index] = row

    @property
    def values(self) -> np.ndarray:
        """(rows, *shape): a view of what was appended so far."""
        return self._rows[: self._count]
