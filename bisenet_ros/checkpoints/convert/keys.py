"""What is read off the names and shapes of tensors, whatever the file holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

LONGEST = 80  # characters of a name that a message shows


def size(tensors: Mapping[str, Tensor], key: str, dim: int = 0) -> int:
    """The size of a tensor along ``dim``; 0 if it is not there or has fewer dimensions."""
    shape = tensors[key].shape if key in tensors else ()
    return shape[dim] if dim < len(shape) else 0


def has_prefix(tensors: Mapping[str, Tensor], *prefixes: str) -> bool:
    """Whether any key begins with one of the prefixes."""
    return any(key.startswith(prefixes) for key in tensors)


def some(names: Iterable[str], most: int = 4) -> str:
    """The first names and how many more there are, as one line of text."""
    listed = list(names)
    shown = [shown_name(name) for name in listed[:most]]
    rest = len(listed) - most
    return ", ".join([*shown, f"{rest} more"] if rest > 0 else shown)


def shown_name(name: str) -> str:
    """A name of a file's, whatever characters it holds, as a part of one line."""
    name = name if name.isprintable() else ascii(name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
