"""Device and precision selection."""

import pytest

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
