"""Which kernels are taken, and what is said when it is not Triton's."""

import sys

import pytest
import torch

from bisenet_ros.inference.cuda import backend, plain

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def test_on_the_cpu_plain_it_is_and_nothing_to_say(monkeypatch):
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
def test_a_triton_that_cannot_run_is_left_alone(monkeypatch, error):
    pytest.importorskip("triton", reason="Triton is not installed: pip install triton")

    def fail(*_):
        raise error

    monkeypatch.setattr(backend, "_try_out", fail)
    chosen, note = backend.choose(GPU, 3, torch.float16)
    assert chosen is plain and str(error).splitlines()[0] in note and "\n" not in note


def test_a_full_gpu_is_no_reason_to_leave_triton(monkeypatch):
    pytest.importorskip("triton", reason="Triton is not installed: pip install triton")

    def fail(*_):
        raise torch.cuda.OutOfMemoryError("full")

    monkeypatch.setattr(backend, "_try_out", fail)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        backend.choose(GPU, 3, torch.float16)
