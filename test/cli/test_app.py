"""The table of subcommands, each of which is loaded only when it is called."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

from bisenet_ros.cli import main
from bisenet_ros.cli.app import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_subcommand_is_a_function_of_its_file_and_says_what_the_table_says(name):
    function = getattr(importlib.import_module(f"bisenet_ros.cli.{name}"), name)
    assert inspect.getdoc(function).splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_subcommand_has_help(name, capsys):
    assert main([name, "--help"]) == 0
    assert f"bisenet_ros {name}" in capsys.readouterr().out


def test_help_lists_them_all_without_loading_any():
    code = (
        "import sys; from bisenet_ros.cli import main; assert main(['--help']) == 0; "
        "assert not {'torch', 'cv2', 'lightning'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(f" {name} " in done.stdout for name in COMMANDS)


def test_a_subcommand_that_is_not_there(capsys):
    assert main(["segment"]) == 2
    assert "segment" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "without", "extra"),
    [
        (["data", "x"], "typer", "tools"),
        (["inspect", "x"], "numpy", "node"),
        (["train"], "yaml", "node"),
    ],
)
def test_a_missing_package_is_one_line_that_names_the_extra(line, without, extra):
    code = (
        f"import sys; sys.modules[{without!r}] = None; "
        f"from bisenet_ros.cli import main; sys.exit(main({line}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    said = f"error: the command needs {without}; run pip install 'bisenet_ros[{extra}]'"
    assert done.stderr.strip() == said
