"""Device and precision selection."""

import pytest
import torch

from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference import device
from bisenet_ros.inference.device import choose
from bisenet_ros.system.cpu import cpu_has_bf16


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("processor: 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("processor: 0\nflags\t\t: fpu avx512f\n", False),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("", False),
    ],
)
def test_bf16_is_read_from_the_cpu_flags(tmp_path, text, has):
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    assert cpu_has_bf16(path) is has


def test_float32_is_used_if_the_cpu_flags_are_unknown(tmp_path):
    assert cpu_has_bf16(tmp_path / "none") is False


def test_the_cpu_can_be_asked_for():
    chosen = choose("cpu", "fp32")
    assert (chosen.device.type, chosen.precision, chosen.fallback) == ("cpu", "fp32", "")


@pytest.fixture
def gpus(monkeypatch):
    """Pretends that there are so many GPUs."""

    def pretend(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


@pytest.mark.parametrize(
    ("count", "name", "device_name", "fallback"),
    [
        (2, "auto", "cuda:0", ""),
        (2, "cuda", "cuda:0", ""),
        (2, "cuda:0", "cuda:0", ""),
        (2, "cuda:1", "cuda:1", ""),
        (2, "cpu", "cpu", ""),
        (0, "cpu", "cpu", ""),
        (0, "auto", "cpu", "no usable GPU: running on the CPU"),
    ],
)
def test_a_device_is_taken_by_its_name(gpus, count, name, device_name, fallback):
    gpus(count)
    chosen = choose(name, "fp32")
    assert (str(chosen.device), chosen.fallback) == (device_name, fallback)


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "CPU", ":0"])
def test_other_names_are_refused_with_those_there_are(gpus, name):
    gpus(1)
    with pytest.raises(ArgumentError) as caught:
        choose(name)
    assert str(caught.value) == f"device is {name!r}; expected cuda, cuda:N, cpu or auto"


def test_a_gpu_that_is_not_there_is_refused_with_what_to_pass(gpus):
    gpus(2)
    with pytest.raises(ArgumentError) as caught:
        choose("cuda:2")
    assert str(caught.value) == (
        "device is 'cuda:2', but this machine has 2 GPU(s); pass cuda:0 to cuda:1"
    )
    gpus(0)
    with pytest.raises(ArgumentError) as caught:
        choose("cuda")
    assert str(caught.value) == (
        f"device is 'cuda', but torch {torch.__version__} finds no usable GPU; "
        "pass device:=cpu, or device:=auto to use a GPU if there is one"
    )


@pytest.mark.parametrize(
    ("name", "precision", "bf16", "expected", "dtype"),
    [
        ("cuda", "auto", False, "fp16", torch.float16),
        ("cpu", "auto", True, "bf16", torch.bfloat16),
        ("cpu", "auto", False, "fp32", torch.float32),
        ("cuda", "bf16", False, "bf16", torch.bfloat16),
        ("cuda", "fp16", True, "fp16", torch.float16),
        ("cpu", "fp32", True, "fp32", torch.float32),
    ],
)
def test_auto_is_the_fastest_precision_of_the_device(
    gpus, monkeypatch, name, precision, bf16, expected, dtype
):
    gpus(1)
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: bf16)
    chosen = choose(name, precision)
    assert (chosen.precision, chosen.dtype) == (expected, dtype)


def test_precisions_that_do_not_fit_are_refused_with_those_that_do():
    with pytest.raises(ArgumentError) as caught:
        choose("cpu", "int4")
    assert str(caught.value) == "precision is 'int4'; expected auto, fp32, fp16, bf16"
    with pytest.raises(ArgumentError) as caught:
        choose("cpu", "fp16")
    assert str(caught.value) == ("precision fp16 needs a GPU; on the CPU pass bf16, fp32 or auto")


def test_nothing_named_is_chosen_here(gpus, monkeypatch):
    gpus(0)
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: True)
    chosen = choose()
    assert (chosen.device.type, chosen.precision) == ("cpu", "bf16")
