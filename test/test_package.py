"""The files of this repository that colcon, pip, make and ROS read."""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import setuptools
import yaml

from bisenet_ros.datasets import CAMVID
from bisenet_ros.inference.result import STAGES
from bisenet_ros.labels import LabelSet

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = ElementTree.parse(ROOT / "package.xml").getroot()
EXECUTABLES = {"segmentation_node", "camera_player", "evaluation_node"}
PINS = [
    line.split(";")[0].strip()
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What setup.py hands to setuptools."""
    handed: dict[str, Any] = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(setuptools, "setup", lambda **keywords: handed.update(keywords))
    runpy.run_path("setup.py")
    return handed


def ros_imports(folder: Path) -> set[str]:
    """Top-level modules imported below ``folder`` that come from ROS."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    ours = re.compile(r".*_(msgs|srvs|interfaces)$|rclpy|cv_bridge|launch|launch_ros|rosbag2_py")
    return {name for name in names if ours.fullmatch(name)}


def test_manifest_is_an_ament_python_package_of_format_3():
    assert MANIFEST.get("format") == "3"
    assert MANIFEST.findtext("name") == "bisenet_ros"
    assert MANIFEST.findtext("license") == "Apache-2.0"
    assert MANIFEST.findtext("export/build_type") == "ament_python"
    assert re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", MANIFEST.find("maintainer").get("email"))
    assert "Apache License" in (ROOT / MANIFEST.find("license").get("file")).read_text()


def test_manifest_lists_every_ros_package_that_is_imported():
    listed = {element.text for element in MANIFEST.iter("exec_depend")}
    imported = ros_imports(ROOT / "bisenet_ros") | ros_imports(ROOT / "launch")
    assert imported - listed == set()


def test_only_the_ros_folder_imports_ros():
    folders = [path for path in (ROOT / "bisenet_ros").iterdir() if path.is_dir()]
    assert {path.name for path in folders if ros_imports(path)} == {"ros"}


def test_setup_agrees_with_the_manifest(package: dict[str, Any]):
    assert package["name"] == "bisenet_ros"
    assert package["version"] == MANIFEST.findtext("version")
    assert package["maintainer_email"] == MANIFEST.find("maintainer").get("email")


def test_every_executable_has_its_main(package: dict[str, Any]):
    scripts = dict(entry.split(" = ") for entry in package["entry_points"]["console_scripts"])
    assert scripts.pop("bisenet_ros") == "bisenet_ros.cli:main"
    assert set(scripts) == EXECUTABLES
    for target in scripts.values():
        module, function = target.split(":")
        tree = ast.parse((ROOT / module.replace(".", "/")).with_suffix(".py").read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_shared_file_is_installed_where_ros_looks(package: dict[str, Any]):
    installed = {source: folder for folder, sources in package["data_files"] for source in sources}
    assert installed["resource/bisenet_ros"] == "share/ament_index/resource_index/packages"
    assert installed["package.xml"] == "share/bisenet_ros"
    for top in ("launch", "config", "weights"):
        for path in (ROOT / top).rglob("*"):
            name = path.relative_to(ROOT)
            if path.is_file() and "__pycache__" not in path.parts:
                assert installed[str(name)] == f"share/bisenet_ros/{name.parent}"
    assert {"launch/segment.launch.py", "config/fastdds.xml", "config/fastrtps.xml"} <= set(
        installed
    )


def test_nothing_is_required_by_default_and_every_extra_is_pinned(package: dict[str, Any]):
    assert not package["install_requires"]
    pinned = {pin.split("==")[0] for pin in PINS}
    assert all(re.fullmatch(r"[a-z0-9.-]+==[\w.]+", pin) for pin in PINS)
    for requirements in package["extras_require"].values():
        for requirement in requirements:
            assert re.split(r"[\[<>=]", requirement)[0] in pinned


def test_setup_cfg_puts_executables_where_ros2_run_looks():
    text = (ROOT / "setup.cfg").read_text()
    assert "script_dir=$base/lib/bisenet_ros" in text
    assert "install_scripts=$base/lib/bisenet_ros" in text


def test_shipped_labels_are_those_of_the_training():
    assert LabelSet.read(ROOT / "config" / "labels" / "camvid.yaml") == CAMVID


def test_fast_dds_profile_holds_the_outputs_of_a_4k_camera():
    tree = ElementTree.parse(ROOT / "config" / "fastdds.xml").getroot()
    names = {"d": "http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"}
    mask_confidence_overlay = 3840 * 2160 * (1 + 1 + 3)
    assert int(tree.findtext(".//d:segment_size", namespaces=names)) > 2 * mask_confidence_overlay
    declared = {element.text for element in tree.iterfind(".//d:type", names)}
    assert declared == {"SHM", "UDPv4"}
    made = [e.text for e in tree.iterfind("./d:transport_descriptors//d:transport_id", names)]
    used = [e.text for e in tree.iterfind(".//d:userTransports/d:transport_id", names)]
    assert sorted(made) == sorted(used)
    assert tree.find("d:participant", names).get("is_default_profile") == "true"


def test_the_profile_for_older_distributions_says_the_same():
    newer, older = ((ROOT / "config" / f"fast{name}.xml").read_text() for name in ("dds", "rtps"))
    assert newer.count("heartbeat_period>") == 2
    assert newer.replace("heartbeat_period>", "heartbeatPeriod>") == older


def test_rviz_shows_camera_overlay_and_mask():
    manager = yaml.safe_load((ROOT / "config/segment.rviz").read_text())["Visualization Manager"]
    shown = {d["Topic"]["Value"] for d in manager["Displays"] if d["Enabled"]}
    assert shown == {"/camera/image_raw", "/bisenet/overlay", "/bisenet/mask"}
    kinds = {d["Topic"]["Value"]: d["Class"] for d in manager["Displays"] if not d["Enabled"]}
    assert kinds == {
        "/camera/image_raw/compressed": "rviz_default_plugins/Image",
        "/bisenet/mask_color": "rviz_default_plugins/Image",
        "/bisenet/ground": "rviz_default_plugins/Map",
        "/bisenet/ground_points": "rviz_default_plugins/PointCloud2",
        "/bisenet/points": "rviz_default_plugins/PointCloud2",
    }
    for display in manager["Displays"]:
        assert set(display["Topic"]) == {
            "Depth",
            "Durability Policy",
            "History Policy",
            "Reliability Policy",
            "Value",
        }


def test_the_foxglove_layout_shows_topics_and_figures_that_the_node_has():
    layout = json.loads((ROOT / "config/foxglove.json").read_text())
    panels = layout["configById"]
    assert set(panels) == set(leaves(layout["layout"]))
    images = {p["imageMode"]["imageTopic"] for p in panels.values() if "imageMode" in p}
    assert images == {"/camera/image_raw", "/bisenet/overlay", "/bisenet/mask_color"}
    paths = [path["value"] for panel in panels.values() for path in panel.get("paths", ())]
    keys = {re.search(r'key=="(\w+)"', path).group(1) for path in paths}
    known = {f"frame_age_ms_p{p}" for p in (50, 95, 99)} | {"input_fps", "target_fps", "output_fps"}
    assert keys == known | {f"{stage}_ms_p50" for stage in STAGES}


def leaves(tree: Any) -> list[str]:
    if isinstance(tree, str):
        return [tree]
    return [name for side in ("first", "second") for name in leaves(tree[side])]


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in a folder that holds what `make setup` reads, as if called from no other make."""
    for name in ("Makefile", "constraints.txt", "setup.py", "setup.cfg"):
        (folder / name).write_text((ROOT / name).read_text())
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_sets_up_first(tmp_path: Path, target: str):
    done = make(tmp_path, "--dry-run", target)
    assert done.returncode == 0, done.stderr
    steps = ["-m venv .venv", "-c constraints.txt", "touch .venv/.setup"]
    steps.append({"demo": "-m bisenet_ros demo", "test": "-m pytest"}[target])
    places = [done.stdout.index(step) for step in steps]
    assert places == sorted(places)


def test_make_does_not_set_up_twice(tmp_path: Path):
    for name in (".venv/bin/python", ".venv/.setup"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    make(tmp_path, "--version")  # the stamp must be younger than what it depends on
    (tmp_path / ".venv/bin/python").touch()
    (tmp_path / ".venv/.setup").touch()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    done = subprocess.run(
        ["make", "setup"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "pip" not in done.stdout


def test_make_refuses_an_old_python(tmp_path: Path):
    old = tmp_path / "old_python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.10 || exit 1\n')
    old.chmod(0o755)
    done = make(tmp_path, "setup", f"PYTHON={old}")
    assert done.returncode != 0
    assert f"error: {old} is Python 3.8.10; expected 3.10 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_make_reports_a_missing_python(tmp_path: Path):
    done = make(tmp_path, "setup", "PYTHON=no_such_python")
    assert done.returncode != 0
    assert "error: no_such_python was not found" in done.stderr
