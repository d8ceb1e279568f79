"""Score recordings on a Ray cluster: one task each, results streamed back to the driver."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bisenet_ros.errors import ArgumentError
from bisenet_ros.replay.many import Outcome, RecordingTask, Scorer
from bisenet_ros.system.atomic_files import staged
from bisenet_ros.system.optional import needed

LOCAL = "local"
CONNECT_TIMEOUT_S = 5.0
RETRIES = 2  # of a task whose process or machine is lost


def score_on_ray(
    work: Sequence[RecordingTask], out: Path, address: str, workers: int = 1
) -> Iterator[Outcome]:
    """Score recordings as tasks of a cluster; outcomes in the order in which they are done.

    A task whose process or machine is lost is tried again, ``RETRIES`` times; then it is reported
    and the others go on. The files of each recording come back to the driver with its outcome, so
    the machines need to share nothing but the recordings' URLs.

    Args:
        work: the recordings.
        out: folder on the driver, in which each recording gets its own.
        address: of the cluster, as Ray takes it, or ``local`` to start one on this machine.
        workers: tasks at once, of a local one.

    Raises:
        ArgumentError: Ray is not installed, or the cluster cannot be reached.
    """
    ray = needed("ray", "fleet", "scoring on a cluster")
    _connect(ray, address, workers)
    try:
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(score_and_pack)
        running = {remote.remote(task): task for task in work}
        while running:
            (done,), _ = ray.wait(list(running), num_returns=1)
            task = running.pop(done)
            try:
                outcome, files = ray.get(done)
            except ray.exceptions.RayError as error:
                yield Outcome(task, error=f"its task was lost ({_reason(error)})")
                continue
            _unpack(files, out / task.folder)
            yield outcome
    finally:
        ray.shutdown()


def score_and_pack(task: RecordingTask) -> tuple[Outcome, dict[str, bytes]]:
    """Score one recording, and return its files, too; runs wherever the cluster has room."""
    with tempfile.TemporaryDirectory() as scratch:
        outcome = Scorer(Path(scratch))(task)
        folder = Path(scratch) / task.folder
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        return outcome, {file.name: file.read_bytes() for file in files}


def _connect(ray: Any, address: str, workers: int) -> None:
    quiet: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    try:
        _knock(address)
        ray.init(
            address=address,
            num_cpus=workers if address == LOCAL else None,
            log_to_driver=False,
            logging_level="error",
            **quiet,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArgumentError(
            f"--ray {address} cannot be reached ({reason}); expected HOST:PORT, ray://HOST:PORT, "
            "auto, or local to start one here"
        ) from error


def _knock(address: str) -> None:
    """OSError if nobody listens at HOST:PORT; Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()


def _unpack(files: dict[str, bytes], folder: Path) -> None:
    if not files:
        return
    with staged(folder, "--report") as scratch:
        for name, content in files.items():
            (scratch / "results" / name).write_bytes(content)


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
