"""Stops the player quietly on SIGINT and SIGTERM, whatever it is doing."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import TracebackType
from typing import Any


class Stopped(BaseException):
    """A signal arrived. Not an Exception, so that no handler for bad input catches it."""


class Signals:
    """Handles SIGINT and SIGTERM from construction on; ``came`` says whether one arrived.

    A signal quietly leaves a ``with`` block on it at once, even during a sleep or a long read.
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
        """Inside the ``with`` block: postpone signals until these steps are complete."""
        self._raising = False
        yield
        self._raising = True
        if self.came:
            raise Stopped

    def _on_signal(self, *_: Any) -> None:
        self.came = True
        if self._raising:
            self._raising = False  # a second signal must not interrupt the cleanup
            raise Stopped
