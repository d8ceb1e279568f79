"""Parameters, config/segment.yaml, the README's table and the launch arguments agree."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from harness import ROOT
from rclpy.context import Context
from rclpy.node import Node

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.ros import launch_arguments
from bisenet_ros.ros.parameters import document
from bisenet_ros.ros.parameters.definition import (
    FIELDS,
    Parameters,
    check_together,
    checked,
    expected,
)

DEFAULTS = dataclasses.asdict(Parameters())
LAUNCH = {argument.name: argument for argument in launch_arguments.segment_arguments("FILE")}


def test_the_file_is_what_the_parameters_say():
    assert (ROOT / "config/segment.yaml").read_text(encoding="utf-8") == (document.yaml_text()), (
        "run `python -m bisenet_ros.ros.parameters.document --write`"
    )


def test_the_page_is_what_the_parameters_say():
    assert (ROOT / "docs/parameters.md").read_text(encoding="utf-8") == document.page(), (
        "run `python -m bisenet_ros.ros.parameters.document --write`"
    )


def test_every_parameter_in_the_file_has_a_comment():
    lines = document.yaml_text().splitlines()
    values = [i for i, line in enumerate(lines) if line.startswith("    ") and "#" not in line]
    assert len(values) == len(FIELDS)
    assert all(lines[i - 1].startswith("    # ") for i in values)
    assert all(len(line) <= document.WIDTH for line in lines)


def test_ros_reads_the_file_as_the_defaults(domain: int):
    context = Context()
    file = str(ROOT / "config/segment.yaml")
    context.init(args=["--ros-args", "--params-file", file], domain_id=domain)
    node = Node("any", context=context, automatically_declare_parameters_from_overrides=True)
    try:
        read = {name: checked(name, node.get_parameter(name).value) for name in FIELDS}
    finally:
        node.destroy_node()
        context.shutdown()
    assert read == DEFAULTS
    assert {n: type(v) for n, v in read.items()} == {n: type(v) for n, v in DEFAULTS.items()}


def test_the_table_has_a_row_for_each_parameter():
    rows = document.table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(FIELDS)
    assert all(row.count("|") == 5 for row in rows)


def test_write_writes_both_and_only_into_a_checkout(tmp_path: Path):
    with pytest.raises(DataError, match=r"no package.xml"):
        document.write(tmp_path)
    (tmp_path / "package.xml").touch()
    for folder in ("config", "docs"):
        (tmp_path / folder).mkdir()
    config, page = tmp_path / "config/segment.yaml", tmp_path / "docs/parameters.md"
    assert document.write(tmp_path) == [config, page]
    assert config.read_text(encoding="utf-8") == document.yaml_text()
    assert page.read_text(encoding="utf-8") == document.page()


def test_the_command_prints_both_and_refuses_what_it_does_not_know(
    capsys: pytest.CaptureFixture[str],
):
    assert document.main([]) == 0
    printed = capsys.readouterr().out
    assert document.yaml_text() in printed
    assert document.table() in printed
    assert document.main(["--wrong"]) == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("name", launch_arguments.PARAMETERS)
def test_a_launch_argument_is_its_parameter(name: str):
    argument, metadata = LAUNCH[name], FIELDS[name].metadata
    assert metadata["description"] in argument.description
    if metadata["choices"]:
        assert argument.choices == metadata["choices"]
    given = launch_arguments.node_parameters({name: argument.default})
    default = DEFAULTS[name] if name != "image_topics" else [""]
    assert given[name] == default
    assert type(given[name]) is type(default)


@pytest.mark.parametrize("name", FIELDS)
def test_every_parameter_is_described_and_takes_its_default(name: str):
    assert FIELDS[name].metadata["description"]
    assert checked(name, DEFAULTS[name]) == DEFAULTS[name]
    assert yaml.safe_load(document.yaml_text())["/**"]["ros__parameters"].keys() == (FIELDS.keys())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", -0.1),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("rate", "15"),
        ("rate", True),
        ("num_classes", 256),
        ("num_classes", 1.0),
        ("overlay_alpha", 1.01),
        ("image_transport", "theora"),
        ("precision", "fp8"),
        ("jpeg_quality", 0),
        ("autostart", 1),
        ("weights", None),
        ("image_topics", "/a"),
        ("image_topics", [1]),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: object):
    with pytest.raises(ArgumentError, match=f"^{name} is .*; expected ") as caught:
        checked(name, value)
    assert "\n" not in str(caught.value)
    metadata = FIELDS[name].metadata
    fits_type = isinstance(value, type(DEFAULTS[name])) and not isinstance(value, bool)
    if fits_type and (metadata["choices"] or metadata["low"] is not None):
        assert expected(name) in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        Parameters(input_width=640),
        Parameters(input_height=480),
        Parameters(image_topics=["/a", "/b", "/a"]),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(wrong: Parameters):
    check_together(Parameters())
    with pytest.raises(ArgumentError):
        check_together(wrong)
