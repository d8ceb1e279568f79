"""Where ``view`` shows things: Rerun's own window, a browser on this machine, or a file."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bisenet_ros.errors import ArgumentError

LOCALHOST = "127.0.0.1"
START_TIMEOUT_S = 30.0
POLL_S = 0.1


@contextlib.contextmanager
def window() -> Iterator[Any]:
    """A stream to Rerun's viewer, which is opened.

    Raises:
        ArgumentError: there is no display.
    """
    from bisenet_ros.report.rerun import APPLICATION, rerun

    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise ArgumentError(
            "this machine has no display; pass --web for a browser, or --save FILE.rrd"
        )
    stream = rerun().RecordingStream(APPLICATION)
    stream.spawn()
    try:
        yield stream
    finally:
        stream.flush()
        stream.disconnect()


@contextlib.contextmanager
def web(port: int) -> Iterator[tuple[Any, str]]:
    """A stream to a server on this machine, and the address to open in a browser.

    The server listens on localhost only; from another machine, forward both ports with ssh.

    Args:
        port: of the page, and the next one for the data; 0 for any that are free.

    Raises:
        ArgumentError: the server does not start.
    """
    from bisenet_ros.report.rerun import APPLICATION, rerun

    library = rerun()
    page_port = port or _free_port()
    data_port = port + 1 if port else _free_port()
    command = [sys.executable, "-m", "rerun_cli", "--serve-web", "--bind", LOCALHOST]
    command += ["--port", str(data_port), "--web-viewer-port", str(page_port)]
    # The server must not open a browser: there may be none, or the wrong one.
    quiet = {**os.environ, "BROWSER": "true", "RERUN_ANALYTICS": "disabled"}
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=quiet,
        start_new_session=True,  # Ctrl-C must reach it after what is sent to it
    )
    stream = None
    try:
        for one in (data_port, page_port):
            _wait_for(one, server)
        url = f"rerun+http://{LOCALHOST}:{data_port}/proxy"
        stream = library.RecordingStream(APPLICATION)
        stream.connect_grpc(url)
        yield (
            stream,
            f"http://{LOCALHOST}:{page_port}/?url=rerun%2Bhttp://{LOCALHOST}:{data_port}/proxy",
        )
    finally:
        if stream is not None:
            stream.disconnect()
        _end(server)


@contextlib.contextmanager
def file(path: Path) -> Iterator[Any]:
    """A stream to a file, which appears when the block ends without an error."""
    from bisenet_ros.report.rerun import saved

    with saved(path) as stream:
        yield stream


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server and the program that it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, sign)  # it leads its own session
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(5.0)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOCALHOST, 0))
        return listener.getsockname()[1]


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection((LOCALHOST, port), POLL_S):
            return
        if server.poll() is not None or time.monotonic() > deadline:
            said = b""
            if server.poll() is not None and server.stderr is not None:
                said = server.stderr.read()
            last = said.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
            raise ArgumentError(f"the viewer's server did not start on port {port} ({last[0]})")
        time.sleep(POLL_S)
