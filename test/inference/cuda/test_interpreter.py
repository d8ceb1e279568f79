"""Runs the kernel tests without a GPU: in Triton's interpreter, in a separate process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).with_name("test_kernels.py")
ROOT = Path(__file__).parents[3]


def test_kernels_in_the_interpreter():
    pytest.importorskip(
        "triton", minversion="3.6", reason="Triton 3.6 is not installed: pip install triton"
    )
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout
