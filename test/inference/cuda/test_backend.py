"""Which kernels are selected, and the note if they are not Triton's."""

import sys

import pytest
import torch

from bisenet_ros.inference.cuda import backend, plain

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def test_the_cpu_uses_plain_pytorch_without_a_note(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert backend.choose(CPU, 3, torch.float32) == (plain, "")


def test_without_triton_the_note_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)  # what an import of it then raises is real
    monkeypatch.delitem(sys.modules, "bisenet_ros.inference.cuda.kernels", raising=False)
    package = sys.modules["bisenet_ros.inference.cuda"]
    monkeypatch.delattr(package, "kernels", raising=False)
    chosen, note = backend.choose(GPU, 3, torch.float16)
    assert chosen is plain
    assert "Triton is not installed" in note and "plain PyTorch" in note


@pytest.mark.parametrize("error", [RuntimeError("no C compiler"), OSError("ptxas\nis missing")])
def test_a_broken_triton_is_not_used(monkeypatch, error):
    pytest.importorskip("triton", reason="Triton is not installed: pip install triton")

    def fail(*_):
        raise error

    monkeypatch.setattr(backend, "_smoke_test", fail)
    chosen, note = backend.choose(GPU, 3, torch.float16)
    assert chosen is plain and str(error).splitlines()[0] in note and "\n" not in note


def test_running_out_of_memory_does_not_disable_triton(monkeypatch):
    pytest.importorskip("triton", reason="Triton is not installed: pip install triton")

    def fail(*_):
        raise torch.cuda.OutOfMemoryError("full")

    monkeypatch.setattr(backend, "_smoke_test", fail)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        backend.choose(GPU, 3, torch.float16)
