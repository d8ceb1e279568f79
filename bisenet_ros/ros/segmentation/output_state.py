"""Whether an output can be built, and if not, why: for the log, once, and for diagnostics."""

from __future__ import annotations

import time
from typing import Any

from bisenet_ros.errors import BisenetError

REPEAT_S = 60.0  # seconds after which a reason that went away and came back is logged again


class OutputState:
    """The state of one output of a camera, such as ``ground``.

    Args:
        name: of the output, as it is logged.
        logger: of the node.
    """

    def __init__(self, name: str, logger: Any) -> None:
        self.name, self._logger = name, logger
        self.problem = ""
        self._logged: dict[str, float] = {}

    def pause(self, reason: str) -> None:
        """The output cannot be built; an unchanged reason is not logged again."""
        now = time.monotonic()
        new = reason != self.problem
        self.problem = reason
        if new and now - self._logged.get(reason, -REPEAT_S) >= REPEAT_S:
            self._logged = {r: at for r, at in self._logged.items() if now - at < REPEAT_S}
            self._logged[reason] = now
            self._logger.warning(f"{self.name} paused: {reason}")

    def fail(self, error: Exception) -> None:
        """Pause because of an exception: bad input, or a bug, which must not spread."""
        known = isinstance(error, BisenetError)
        self.pause(str(error) if known else f"{type(error).__name__}: {error}".splitlines()[0])

    def run(self) -> None:
        """The output was built, or nobody wants it."""
        self.problem = ""
