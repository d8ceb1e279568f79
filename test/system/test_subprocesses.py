"""Child processes: real ones."""

from __future__ import annotations

import os
import sys
import time

import pytest

from bisenet_ros.system.subprocesses import Child, ChildError, exit_reason, wait_until


def child(tmp_path, code: str, name: str = "player") -> Child:
    return Child(name, [sys.executable, "-c", code], tmp_path / f"{name}.log", os.environ)


def test_a_failure_is_reported_with_the_childs_error_line_and_code(tmp_path):
    code = "import sys; print('hello'); print('player: no bag', file=sys.stderr); sys.exit(3)"
    with child(tmp_path, code) as running, pytest.raises(ChildError) as failure:
        wait_until(lambda: running.ended, [], 20, "the end")
    assert str(failure.value) == "player: no bag"
    assert failure.value.exit_code == 3


def test_waiting_ends_when_the_condition_is_true(tmp_path):
    with child(tmp_path, "print('ready', flush=True); input()") as running:
        wait_until(lambda: "ready" in running.output, [], 20, "readiness")


def test_a_child_that_exits_early_ends_the_wait(tmp_path):
    with (
        child(tmp_path, "print('bye')") as running,
        pytest.raises(ChildError, match="player exited before it was ready: bye"),
    ):
        wait_until(lambda: False, [running], 20, "it was ready")


def test_a_timeout_says_what_was_awaited(tmp_path):
    with (
        child(tmp_path, "print('busy', flush=True); import time; time.sleep(60)") as running,
        pytest.raises(ChildError, match=r"timed out after .* before the moon rose \(player: "),
    ):
        wait_until(lambda: False, [running], 0.5, "the moon rose")
    assert running.process.returncode is not None


def test_a_child_that_ignores_the_interrupt_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("bisenet_ros.system.subprocesses.TIMEOUT_S", 0.5)
    code = "import signal,time; signal.signal(2, lambda *_: None); print('up', flush=True)\n"
    running = child(tmp_path, code + "while True: time.sleep(1)")
    wait_until(lambda: "up" in running.output, [running], 20, "the start")
    with (
        pytest.raises(ChildError, match="player did not exit within 0.5 s .*killed.*: up"),
        running,
    ):
        time.sleep(0)
    assert running.process.returncode == -9


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", "exited with code 7 and no output"),
        ("one\n\ntwo\n", "two"),
        ("error: bad\nTip: good\n", "bad"),
        ("node: bad weights\n", "bad weights"),
        ("[ERROR] [12.5] [bisenet]: no GPU\n[INFO] [13.0] [bisenet]: bye\n", "no GPU"),
        ("[INFO] [13.0] [bisenet]: bye\n", "bye"),
    ],
)
def test_exit_reason(output, expected):
    assert exit_reason("node", output, 7) == expected


def test_exit_reason_of_a_killed_program():
    assert exit_reason("node", "[INFO] running\n", -9) == (
        "killed by SIGKILL; its last output was: [INFO] running"
    )
