"""Child processes that report their failures and never outlive their parent."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from bisenet_ros.errors import BisenetError

Executable = Callable[[str], list[str]]  # maps a program's name to its command line

POLL_S = 0.05  # seconds between two polls of a child
TIMEOUT_S = 10.0  # seconds a child has to exit before it is killed
_LOG_PREFIX = re.compile(r"^\[(?P<level>[A-Z]+)\] \[[\d.]+\] \[[^\]]*\]: ")  # as rclpy logs


class ChildError(BisenetError):
    """A child process failed; carries the child's exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        # A negative code is the signal that killed it, so the arguments are not at fault.
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
        try:
            self.stop()
        except ChildError:
            if error is None:  # else that one says what went wrong first
                raise

    @property
    def output(self) -> str:
        """Everything it has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def ended(self) -> bool:
        """Whether it has exited; ChildError, with its own error line, if it failed."""
        code = self.process.poll()
        if code:
            raise ChildError(f"{self.name}: {self.exit_reason(code)}", code)
        return code is not None

    def exit_reason(self, code: int = 0) -> str:
        """Why it exited, according to its output."""
        return exit_reason(self.name, self.output, code)

    def stop(self) -> None:
        """Interrupt it and wait; ChildError if it does not exit and had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            last = self.exit_reason()
            raise ChildError(
                f"{self.name} did not exit within {TIMEOUT_S:g} s of SIGINT and was killed; its "
                f"last output: {last}",
                BisenetError.exit_code,
            ) from error
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


def wait_until(
    condition: Callable[[], bool], children: Sequence[Child], timeout_s: float, what: str
) -> None:
    """Wait until ``condition()`` is true while all ``children`` keep running.

    Raises:
        ChildError: a child failed or exited early, or ``timeout_s`` seconds have passed; says
            ``what`` was awaited.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        for child in children:
            if child.ended:
                raise ChildError(f"{child.name} exited before {what}: {child.exit_reason()}", 3)
        if time.monotonic() > deadline:
            last = "; ".join(f"{c.name}: {c.exit_reason()}" for c in children)
            raise ChildError(f"timed out after {timeout_s:.0f} s, before {what} ({last})", 3)
        time.sleep(POLL_S)


def exit_reason(name: str, output: str, code: int = 0) -> str:
    """The line of a program's output that says why it exited: its last error, else its last line.

    Args:
        name: the program; a line that starts with it and a colon is an error, as for any command.
        output: everything it printed.
        code: its exit code, reported if it printed nothing or was killed by a signal.
    """
    marks = ("error: ", f"{name}: ")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if _logged_error(line) or line.startswith(marks)]
    if code < 0:
        last = lines[-1] if lines else "nothing"
        return f"killed by {signal.Signals(-code).name}; its last output was: {last}"
    if not lines:
        return f"exited with code {code} and no output"
    line = _LOG_PREFIX.sub("", (errors or lines)[-1])
    for mark in marks:
        line = line.removeprefix(mark)
    return line


def _logged_error(line: str) -> bool:
    logged = _LOG_PREFIX.match(line)
    return logged is not None and logged["level"] in ("ERROR", "FATAL")
