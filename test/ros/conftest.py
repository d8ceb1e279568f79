"""Fixtures of the tests that speak DDS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Peer, Process, own_domain

from bisenet_ros.system.shared_memory import remove_stale_segments


@pytest.fixture
def domain() -> Iterator[int]:
    """The test's own DDS domain."""
    with own_domain() as number:
        yield number


@pytest.fixture
def peer(domain: int) -> Iterator[Peer]:
    """The test's own node, on its domain."""
    peer = Peer(domain)
    yield peer
    peer.close()


@pytest.fixture
def start(domain: int, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start child processes on the test's domain; remaining ones are killed at the end."""
    started: list[Process] = []

    def start_one(arguments: list[str], **environment: str) -> Process:
        log = tmp_path / f"process-{len(started)}.log"
        process = Process(arguments, domain, log, **environment)
        started.append(process)
        return process

    yield start_one
    for process in started:
        if process.child.poll() is None:
            process.child.kill()
            process.child.wait()


def pytest_sessionfinish() -> None:
    """Leave /dev/shm as it was: killed processes cannot remove their segments themselves."""
    remove_stale_segments()
