"""Child processes whose failure is told in their own words, and which never outlive us."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from bisenet_ros.errors import BisenetError

Executable = Callable[[str], list[str]]  # from a program's name to its command line

POLL = 0.05  # seconds between two looks at a child
TIMEOUT_S = 10.0  # seconds a child has for leaving, before it is killed
_LOG_PREFIX = re.compile(r"^\[(?P<level>[A-Z]+)\] \[[\d.]+\] \[[^\]]*\]: ")  # as rclpy logs


class ChildError(BisenetError):
    """A child process failed; carries the child's own exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        # A negative code is the signal that killed it: then the fault is not an argument's.
        self.exit_code = code if code > 0 else BisenetError.exit_code


class Child:
    """A running command. Its output goes to a file, so that it never blocks on a full pipe."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
            )

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself; ChildError, with its own line, if it failed."""
        code = self.process.poll()
        if code:
            raise ChildError(f"{self.name}: {self.last_words(code)}", code)
        return code is not None

    def last_words(self, code: int = 0) -> str:
        """Why it ended, in its own words."""
        return last_words(self.name, self.output, code)

    def stop(self) -> None:
        """Interrupt it, wait, and kill it if it does not leave."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(TIMEOUT_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


def wait_until(
    holds: Callable[[], bool], children: Sequence[Child], patience: float, what: str
) -> None:
    """Wait until ``holds()``, as long as all ``children`` run.

    Raises:
        ChildError: a child failed or left early, or ``patience`` seconds went by; says ``what``
            was waited for.
    """
    deadline = time.monotonic() + patience
    while not holds():
        for child in children:
            if child.ended:
                raise ChildError(f"{child.name} left before {what}: {child.last_words()}", 3)
        if time.monotonic() > deadline:
            last = "; ".join(f"{c.name}: {c.last_words()}" for c in children)
            raise ChildError(f"waited {patience:.0f} s in vain for {what} ({last})", 3)
        time.sleep(POLL)


def last_words(name: str, output: str, code: int = 0) -> str:
    """The line of a program's output that tells why it ended: its last error, else its last line.

    Args:
        name: the program; a line that starts with it and a colon is an error, as for any command.
        output: all it printed.
        code: its exit code, told where it said nothing or a signal killed it.
    """
    marks = ("error: ", f"{name}: ")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if _logged_error(line) or line.startswith(marks)]
    if code < 0:
        last = lines[-1] if lines else "nothing"
        return f"killed by {signal.Signals(-code).name}; its last words: {last}"
    if not lines:
        return f"ended with code {code} and said nothing"
    line = _LOG_PREFIX.sub("", (errors or lines)[-1])
    for mark in marks:
        line = line.removeprefix(mark)
    return line


def _logged_error(line: str) -> bool:
    logged = _LOG_PREFIX.match(line)
    return logged is not None and logged["level"] in ("ERROR", "FATAL")
