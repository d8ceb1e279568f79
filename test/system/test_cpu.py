"""The processor's name and instructions, from /proc/cpuinfo."""

from pathlib import Path

import pytest

from bisenet_ros.system.cpu import cpu_has_amx_bf16, cpu_has_bf16, cpu_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: Some: CPU\n",
            "Some: CPU (family 25, model 17)",
        ),
        ("model name\t: Cortex of a board\n", "Cortex of a board"),
    ],
)
def test_the_name_is_read(tmp_path: Path, text: str, name: str):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(text)
    assert cpu_name(cpuinfo) == name


def test_without_a_name_the_architecture_is_reported(tmp_path: Path):
    assert cpu_name(tmp_path / "missing")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\n")
    assert cpu_name(tmp_path / "cpuinfo")


@pytest.mark.parametrize(
    ("text", "bf16", "amx"),
    [
        ("flags\t\t: fpu avx512_bf16 amx_bf16 avx512_fp16 amx_tile amx_int8\n", True, True),
        ("flags\t\t: fpu avx512_bf16 avx_vnni\n", True, False),
        ("flags\t\t: fpu amx_bf16_like amx_tile\n", False, False),
        ("Features\t: fp asimd bf16 i8mm\n", True, False),
        ("processor\t: 0\n", False, False),
        ("", False, False),
    ],
)
def test_bfloat16_instructions_are_found(tmp_path: Path, text: str, bf16: bool, amx: bool):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(text)
    assert cpu_has_bf16(cpuinfo) is bf16
    assert cpu_has_amx_bf16(cpuinfo) is amx


def test_a_machine_without_cpuinfo_has_none(tmp_path: Path):
    assert not cpu_has_bf16(tmp_path / "missing") and not cpu_has_amx_bf16(tmp_path / "missing")
