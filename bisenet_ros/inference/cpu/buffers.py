"""Arrays that are used again from frame to frame, so that steady work allocates nothing.

Fresh memory of an image's size costs a page fault for each 4 KB, which is more time than most
steps need for their work.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from numpy.typing import DTypeLike

KEPT = 32  # kinds of arrays (of one size and use) kept; cameras that change size make new kinds

# What getrefcount says of an array that only a list holds. Asked, not assumed: it differs between
# versions of Python.
_alone = [np.empty(0)]
IDLE = sys.getrefcount(_alone[0])


class Buffers:
    """Arrays by use, shape and type; the kinds that were not asked for lately are let go.

    For one thread at a time; arrays that were lent may be dropped by any thread.
    """

    def __init__(self) -> None:
        self._kinds: OrderedDict[Hashable, list[np.ndarray]] = OrderedDict()

    def scratch(self, use: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """The one array of that use, shape and type, its content as it was left, at first zeros."""
        kept = self._kind((use, shape, np.dtype(dtype).str))
        if not kept:
            kept.append(np.zeros(shape, dtype))
        return kept[0]

    def lend(self, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """An array that nobody refers to; it is the caller's until nobody refers to it again.

        Its content is arbitrary. A view counts as a reference, and so does a buffer made from it.
        """
        kept = self._kind(("lent", shape, np.dtype(dtype).str))
        for index in range(len(kept)):
            if sys.getrefcount(kept[index]) == IDLE:
                return kept[index]
        kept.append(np.empty(shape, dtype))
        return kept[-1]

    def _kind(self, key: Hashable) -> list[np.ndarray]:
        kept = self._kinds.setdefault(key, [])
        self._kinds.move_to_end(key)
        while len(self._kinds) > KEPT:
            self._kinds.popitem(last=False)
        return kept
