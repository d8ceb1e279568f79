"""What is read off the names and shapes of tensors, whatever the file holds."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def size(tensors: Mapping[str, Tensor], key: str, dim: int = 0) -> int:
    """The size of a tensor along ``dim``; 0 if it is not there or has fewer dimensions."""
    shape = tensors[key].shape if key in tensors else ()
    return shape[dim] if dim < len(shape) else 0


def has_prefix(tensors: Mapping[str, Tensor], *prefixes: str) -> bool:
    """Whether any key begins with one of the prefixes."""
    return any(key.startswith(prefixes) for key in tensors)
