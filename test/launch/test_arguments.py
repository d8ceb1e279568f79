"""What the launch arguments mean for the node, and what the launch files are made of."""

from __future__ import annotations

import ast
import asyncio
import importlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from bisenet_ros.errors import ArgumentError
from bisenet_ros.ros.launch_arguments import (
    REPLAY,
    existing_file,
    fail,
    full_name,
    has_package,
    image_topics,
    node_parameters,
    process_options,
    rate_factor,
    segment_arguments,
)
from bisenet_ros.system.environment import PROFILES

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "launch").glob("*.launch.py"))

# The contract: every launch argument of segment.launch.py with its default.
CONTRACT = {
    "weights": "",
    "num_classes": "0",
    "input_width": "0",
    "input_height": "0",
    "image_topic": "/camera/image_raw",
    "image_topics": "",
    "image_transport": "raw",
    "rate": "15.0",
    "device": "auto",
    "precision": "auto",
    "engine": "auto",
    "overlay_alpha": "0.5",
    "params_file": "FILE",
    "namespace": "",
    "node_name": "bisenet",
    "use_sim_time": "false",
    "rviz": "false",
    "autostart": "true",
    "log_level": "info",
}
OURS = {"any_input_size": "false", "adaptive": "false"}  # beyond the contract
CHOICES = {
    "image_transport",
    "precision",
    "engine",
    "use_sim_time",
    "rviz",
    "autostart",
    "log_level",
}


def test_the_arguments_are_those_of_the_contract():
    arguments = segment_arguments("FILE")
    assert {argument.name: argument.default for argument in arguments} == CONTRACT | OURS
    assert {argument.name for argument in arguments if argument.choices} == CHOICES | set(OURS)


def test_every_argument_can_be_declared():
    for argument in (*segment_arguments("FILE"), *REPLAY):
        declaration = argument.declaration
        assert declaration["description"]
        # launch refuses an empty list of choices, and a default that is none of them.
        assert declaration["choices"] is None or declaration["default_value"] in argument.choices
    assert [argument.name for argument in REPLAY if argument.default is None] == ["bag"]


def test_what_was_not_given_is_not_set():
    assert node_parameters({}) == {}
    others = {"params_file": "x", "namespace": "y", "rviz": "true", "somebody_elses": "z"}
    assert node_parameters(others) == {}


def test_what_was_given_comes_in_its_own_type():
    given = {
        "weights": "2024",
        "num_classes": "11",
        "rate": "5",
        "overlay_alpha": "1",
        "device": "cuda:1",
        "autostart": "False",
        "use_sim_time": "true",
        "image_topics": "/a",
    }
    parameters = node_parameters(given)
    assert parameters == {
        "weights": "2024",
        "num_classes": 11,
        "rate": 5.0,
        "overlay_alpha": 1.0,
        "device": "cuda:1",
        "autostart": False,
        "use_sim_time": True,
        "image_topics": ["/a"],
    }
    assert type(parameters["rate"]) is type(parameters["overlay_alpha"]) is float


@pytest.mark.parametrize(
    ("text", "topics"),
    [
        ("/a,/b", ["/a", "/b"]),
        ("[/a, /b]", ["/a", "/b"]),
        ("['/a', \"/b\"]", ["/a", "/b"]),
        ("/a", ["/a"]),
        ("/a,", ["/a"]),
        ("[]", [""]),
        ("", [""]),
        ("['']", [""]),
    ],
)
def test_topics_are_read_as_people_write_them(text: str, topics: list[str]):
    assert node_parameters({"image_topics": text}) == {"image_topics": topics}


def test_a_camera_on_the_launch_line_replaces_those_of_the_params_file():
    assert node_parameters({"image_topic": "/a"}) == {"image_topic": "/a", "image_topics": [""]}
    both = {"image_topic": "/a", "image_topics": "/b,/c"}
    assert node_parameters(both) == {"image_topic": "/a", "image_topics": ["/b", "/c"]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rate", "fast"),
        ("rate", "-1"),
        ("rate", "nan"),
        ("num_classes", "2.5"),
        ("num_classes", "256"),
        ("overlay_alpha", ""),
        ("autostart", "maybe"),
        ("use_sim_time", "1"),
        ("precision", "fp8"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_one_line(name: str, text: str):
    with pytest.raises(ArgumentError, match=rf"^{name} is .*; expected [^\n]*$"):
        node_parameters({name: text})


@pytest.mark.parametrize("text", ["-2", "x", "nan", "inf", ""])
def test_a_speed_must_be_a_number_of_0_or_more(text: str):
    assert (rate_factor("0.5"), rate_factor("0")) == (0.5, 0)
    with pytest.raises(ArgumentError, match="rate_factor is .*; expected a number above 0"):
        rate_factor(text)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path):
    assert existing_file("params_file", str(ROOT / "package.xml")) == str(ROOT / "package.xml")
    with pytest.raises(ArgumentError, match="params_file is .*; pass params_file:=PATH"):
        existing_file("params_file", str(tmp_path / "none.yaml"))
    with pytest.raises(ArgumentError):
        existing_file("params_file", str(tmp_path))


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("", "", "bisenet"), "/bisenet"),
        (("", "robot", "bisenet"), "/robot/bisenet"),
        (("fleet", "robot", "eyes"), "/fleet/robot/eyes"),
        (("/fleet", "/robot/", "eyes"), "/robot/eyes"),
        (("", "/", "eyes"), "/eyes"),
        (("image",), "/image"),
    ],
)
def test_names_are_joined_as_ros_joins_them(parts: tuple[str, ...], name: str):
    assert full_name(*parts) == name


def test_the_camera_topics_are_those_of_the_launch_line():
    assert image_topics({}) == ["/camera/image_raw"]
    assert image_topics({"image_topic": "/a"}) == ["/a"]
    assert image_topics({"image_topic": "/a", "image_topics": "[/b, '/c']"}) == ["/b", "/c"]
    assert image_topics({"params_file": "x.yaml"}) == []  # which may name others
    assert image_topics({"params_file": "x.yaml", "image_topic": "/a"}) == ["/a"]


def test_installed_packages_are_found_in_the_index(tmp_path, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'none'}{os.pathsep}{tmp_path}")
    assert not has_package("rviz2")
    index = tmp_path / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    (index / "rviz2").touch()
    assert has_package("rviz2")


def test_a_failure_reaches_the_loop_of_launch():
    """launch ends with 1 for what its loop's exception handler is told."""
    loop, told = asyncio.new_event_loop(), []
    loop.set_exception_handler(lambda _, context: told.append(context["message"]))
    fail(SimpleNamespace(asyncio_loop=loop), "the node failed")
    loop.close()
    assert told == ["the node failed"]


def test_processes_get_the_environment_unless_the_user_set_it(monkeypatch: pytest.MonkeyPatch):
    for name in ("MALLOC_TOP_PAD_", "FASTDDS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    environment = process_options({})["additional_env"]
    assert "MALLOC_TOP_PAD_" in environment
    assert "OMP_WAIT_POLICY" not in environment
    profiles = {k: v for k, v in environment.items() if k.endswith("_PROFILES_FILE")}
    assert profiles and all(v == str(ROOT / PROFILES[k]) for k, v in profiles.items())


def test_processes_follow_launch_into_its_end_unless_a_prefix_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert process_options({})["prefix"] == "setpriv --pdeathsig INT"
    assert "prefix" not in process_options({"launch-prefix": "gdb"})
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "prefix" not in process_options({})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_launch_files_compile_and_import_what_exists(path: Path):
    tree = ast.parse(path.read_text())
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert "generate_launch_description" in names
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bisenet_ros."):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)
