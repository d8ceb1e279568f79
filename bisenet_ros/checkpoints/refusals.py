"""What torch says when it refuses to load a pickle that would execute code."""

from __future__ import annotations

import re

# "GLOBAL x.y was not an allowed global" since 2.4, "Unsupported class x.y" before.
_REFUSED = re.compile(r"(?:GLOBAL|Unsupported class) ([\w.]+)")


def refused_name(error: BaseException) -> str:
    """The dotted name that ``torch.load(weights_only=True)`` refused; empty for other errors."""
    found = _REFUSED.search(" ".join(str(error).split()))
    return "" if found is None else found.group(1).rstrip(".")
