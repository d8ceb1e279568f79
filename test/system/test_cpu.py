"""The processor's name, from /proc/cpuinfo."""

from pathlib import Path

import pytest

from bisenet_ros.system.cpu import cpu_name


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
