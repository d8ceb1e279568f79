"""The stand-in for TensorRT."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The stand-in, as the module tensorrt, with a cache of its own."""
    pytest.importorskip("onnxruntime")
    folder = Path(__file__).parent
    spec = importlib.util.spec_from_file_location("tensorrt", folder / "fake_tensorrt.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    spec.loader.exec_module(module)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield module
    module.may_build.set()
