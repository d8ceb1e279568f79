"""Device and precision selection."""

import pytest
import torch

from bisenet_ros.cli import main
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


def pretend_gpu(monkeypatch, capability=(9, 0), built=("sm_80", "sm_90", "compute_90"), count=1):
    """A machine with a GPU, as far as torch's answers go."""
    answers = {
        "is_available": True,
        "device_count": count,
        "get_device_capability": capability,
        "get_device_name": "NVIDIA Some",
        "get_arch_list": list(built),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=answer: value)


@pytest.mark.parametrize(
    ("capability", "auto", "refused"),
    [((9, 0), "fp16", ()), ((7, 5), "fp16", ("bf16",)), ((5, 0), "fp32", ("fp16", "bf16"))],
)
def test_a_gpu_too_old_for_a_precision(monkeypatch, capability, auto, refused):
    pretend_gpu(monkeypatch, capability, ("sm_50", "sm_70", "sm_90"))
    assert choose("auto", "auto").precision == choose("cuda", "auto").precision == auto
    for precision in ("fp32", "fp16", "bf16"):
        if precision not in refused:
            assert choose("cuda", precision).precision == precision
            continue
        with pytest.raises(ArgumentError, match=f"capability {capability[0]}.{capability[1]}, and"):
            choose("cuda", precision)


@pytest.mark.parametrize(
    ("capability", "built", "runs"),
    [
        ((8, 7), ("sm_80",), True),  # code of the same major version
        ((8, 0), ("sm_86",), False),
        ((9, 0), ("sm_80", "sm_86"), False),
        ((10, 0), ("sm_80", "compute_80"), True),  # PTX is compiled when it is loaded
        ((12, 0), ("sm_90a", "sm_100"), False),
        ((9, 0), ("sm_90a",), True),
        ((6, 1), ("sm_75", "compute_120"), False),
        ((9, 0), ("gfx942",), True),  # not NVIDIA's: nothing is known
        ((9, 0), (), True),
    ],
)
def test_a_gpu_that_torch_was_not_built_for(monkeypatch, capability, built, runs):
    pretend_gpu(monkeypatch, capability, built)
    found = choose("auto", "fp32")
    assert found.device.type == ("cuda" if runs else "cpu")
    if not runs:
        assert "compute capability" in found.fallback and "running on the CPU" in found.fallback
        with pytest.raises(
            ArgumentError, match="install a torch built for it, or pass device:=cpu"
        ):
            choose("cuda:0", "fp32")


def test_a_driver_that_does_not_fit_torch(monkeypatch):
    pretend_gpu(monkeypatch)

    def fail(*_):
        raise RuntimeError("The NVIDIA driver on your system is too old\n(found version 11040).")

    monkeypatch.setattr(torch.cuda, "get_device_capability", fail)
    with pytest.raises(ArgumentError) as caught:
        choose("cuda")
    words = str(caught.value)
    assert "driver on your system is too old (found version 11040)" in words and "\n" not in words
    assert "check that the driver is new enough" in words
    assert choose("auto", "fp32").device.type == "cpu"


@pytest.mark.parametrize(("cuda", "said"), [(None, "is a CPU build"), ("13.0", "nvidia-smi")])
def test_without_a_gpu_the_command_line_ends_with_2_and_the_reason(monkeypatch, capsys, cuda, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    for command in ("benchmark", "frontier"):
        assert main([command, "--device", "cuda"]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and said in lines[0] and "device:=cpu" in lines[0]


def test_a_gpu_that_is_not_there(monkeypatch):
    pretend_gpu(monkeypatch, count=2)
    assert choose("cuda:1").device.index == 1
    with pytest.raises(ArgumentError, match=r"has 2 GPU\(s\); pass cuda:0 to cuda:1"):
        choose("cuda:2")


@pytest.fixture
def gpus(monkeypatch):
    """Pretends that there are so many GPUs."""

    def pretend(count: int) -> None:
        pretend_gpu(monkeypatch, count=count)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)

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
    words = str(caught.value)
    assert words.startswith("device is 'cuda', but there is no usable GPU: torch ")
    assert words.endswith("or pass device:=cpu, or device:=auto to use a GPU if there is one")


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
    assert str(caught.value) == "precision is 'int4'; expected auto, fp32, fp16, bf16 or int8"
    with pytest.raises(ArgumentError) as caught:
        choose("cpu", "fp16")
    assert str(caught.value) == ("precision fp16 needs a GPU; on the CPU pass bf16, fp32 or auto")


def test_nothing_named_is_chosen_here(gpus, monkeypatch):
    gpus(0)
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: True)
    chosen = choose()
    assert (chosen.device.type, chosen.precision) == ("cpu", "bf16")
