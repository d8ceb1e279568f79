"""SIGINT and SIGTERM as a quiet way out of whatever the player is doing."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import TracebackType
from typing import Any


class Stopped(BaseException):
    """A signal came. Not an Exception, so that no handler of broken input takes it for one."""


class Signals:
    """Takes SIGINT and SIGTERM from the moment it is made; ``came`` tells whether one came.

    A ``with`` block on it is left at once and quietly when a signal comes, even amid a sleep or
    a long read.
    """

    def __init__(self) -> None:
        self.came = False
        self._raising = False
        for sign in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sign, self._on_signal)

    def __enter__(self) -> Signals:
        if self.came:
            raise Stopped
        self._raising = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._raising = False
        return isinstance(error, Stopped)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Inside the ``with`` block, steps that belong together: a signal waits for their end."""
        self._raising = False
        yield
        self._raising = True
        if self.came:
            raise Stopped

    def _on_signal(self, *_: Any) -> None:
        self.came = True
        if self._raising:
            self._raising = False  # a second signal must not break the clearing up
            raise Stopped
