"""Arrays that are reused from frame to frame, so that the steady state allocates nothing.

Fresh memory for an image costs a page fault per 4 KB, which takes longer than most of the
processing steps themselves.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from numpy.typing import DTypeLike

MAX_KINDS = 32  # kinds of arrays (use, shape, dtype) kept; cameras that change size add new kinds

# The reference count of an array that only a list holds. Measured, since it differs between
# versions of Python.
_unshared = [np.empty(0)]
IDLE_REFCOUNT = sys.getrefcount(_unshared[0])


class Buffers:
    """Arrays by use, shape and dtype; the least recently used kinds are freed.

    For one thread at a time; lent arrays may be released by any thread.
    """

    def __init__(self) -> None:
        self._kinds: OrderedDict[Hashable, list[np.ndarray]] = OrderedDict()

    def scratch(self, use: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """The array for this use, shape and dtype; initially zeros, then as it was left."""
        kept = self._kind((use, shape, np.dtype(dtype).str))
        if not kept:
            kept.append(np.zeros(shape, dtype))
        return kept[0]

    def lend(self, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """An array without other references; it belongs to the caller until all are dropped.

        Its content is arbitrary. A view counts as a reference, and so does a buffer made from it.
        """
        kept = self._kind(("lent", shape, np.dtype(dtype).str))
        for index in range(len(kept)):
            if sys.getrefcount(kept[index]) == IDLE_REFCOUNT:
                return kept[index]
        kept.append(np.empty(shape, dtype))
        return kept[-1]

    def _kind(self, key: Hashable) -> list[np.ndarray]:
        kept = self._kinds.setdefault(key, [])
        self._kinds.move_to_end(key)
        while len(self._kinds) > MAX_KINDS:
            self._kinds.popitem(last=False)
        return kept
