"""The layers of pyproject.toml, modules that are started by name in a subprocess included."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import grimp
import pytest
from importlinter import api

ROOT = Path(__file__).resolve().parents[1]
NAME = re.compile(r"bisenet_ros(\.[a-z_0-9]+)+\.?")


@pytest.fixture(scope="module")
def contracts() -> dict[str, dict]:
    found = api.read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    return {contract["id"]: contract for contract in found}


def named_modules(path: Path, modules: set[str]) -> set[str]:
    """Modules that a file names in its strings, other than in docstrings and messages.

    An f-string that goes on after a package's name stands for the whole package.
    """
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and NAME.fullmatch(text):
            named.add(text.rstrip("."))
    return {name for name in named if name in modules and "." in name}


def layers(contract: dict) -> list[grimp.Layer]:
    found = []
    for line in contract["layers"]:
        independent = ":" not in line
        names = [name.strip() for name in re.split("[:|]", line)]
        found.append(grimp.Layer(*names, independent=independent))
    return found


def test_no_arrow_points_up(contracts):
    graph = grimp.build_graph("bisenet_ros", cache_dir=None)
    modules = set(graph.modules)
    for module in modules:
        path = ROOT / Path(*module.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for name in named_modules(file, modules) - {module}:
            graph.add_import(importer=module, imported=name)
    broken = graph.find_illegal_dependencies_for_layers(
        layers=layers(contracts["layers"]), containers={"bisenet_ros"}
    )
    assert not [f"{d.importer} names {d.imported}" for d in broken]


def test_modules_started_by_name_are_seen(tmp_path):
    source = 'run(["-m", "bisenet_ros.ros.camera_player"]); go(f"bisenet_ros.ros.{name}")'
    (tmp_path / "a.py").write_text(source)
    modules = {"bisenet_ros.ros", "bisenet_ros.ros.camera_player", "bisenet_ros.cli"}
    assert named_modules(tmp_path / "a.py", modules) == modules - {"bisenet_ros.cli"}
