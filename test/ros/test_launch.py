"""The launch files with real launch, launch_ros and nodes; skipped if launch is missing."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from bag_maker import BagMaker, picture
from harness import ROOT, Peer, Process
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python

from bisenet_ros.ros.launch_arguments import segment_arguments

DRIVER = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

given = dict(argument.split(":=", 1) for argument in sys.argv[2:])
source = PythonLaunchDescriptionSource(sys.argv[1])
service = LaunchService()
include = IncludeLaunchDescription(source, launch_arguments=given.items())
service.include_launch_description(LaunchDescription([include]))
sys.exit(service.run())
"""


def missing() -> str:
    """Why launch files cannot run here; empty if they can."""
    for name in ("launch", "launch_ros.actions"):
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            return f"launch is not installed here: {error}"
        if name == "launch" and not hasattr(module, "LaunchDescription"):
            return "launch is not installed here; the folder of that name is ours"
    index = Path("share/ament_index/resource_index/packages/bisenet_ros")
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    if not any((Path(prefix) / index).exists() for prefix in prefixes if prefix):
        return "the package is in no ament index; run `make setup` or `colcon build`"
    return ""


REASON = missing()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)
Start = Callable[..., Process]


def launch(
    start: Start, *, file: str = "segment", environment: dict[str, str] | None = None, **given: str
) -> Process:
    """Start a launch file with the arguments ``given``."""
    path = str(ROOT / f"launch/{file}.launch.py")
    arguments = [f"{name}:={value}" for name, value in given.items()]
    prefixes = filter(None, [os.environ.get("AMENT_PREFIX_PATH"), sys.prefix])
    return start(
        [sys.executable, "-c", DRIVER, path, *arguments],
        AMENT_PREFIX_PATH=os.pathsep.join(prefixes),
        **(environment or {}),
    )


@pytest.fixture
def stand_in(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``ros2`` is stand_in_ros2.py, and rosbag2_interfaces can be had."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/ros2"
    script.write_text(f"#!{sys.executable}\n{(ROOT / 'test/ros/stand_in_ros2.py').read_text()}")
    script.chmod(0o755)
    (tmp_path / "stub/rosbag2_interfaces").mkdir(parents=True)
    (tmp_path / "stub/rosbag2_interfaces/__init__.py").touch()
    (tmp_path / "stub/rosbag2_interfaces/srv.py").write_text(
        "from std_srvs.srv import Trigger as Resume\n"
    )
    python = [str(tmp_path / "stub"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(python),
    }


FRAMES = 20


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Two seconds at 10 Hz of images and labels of three classes."""
    with BagMaker(tmp_path / "bag") as maker:
        for i in range(FRAMES):
            stamp = 100 * 10**9 + i * 10**8
            maker.jpeg("/camera/image_raw/compressed", stamp, picture(i))
            label = np.random.default_rng(i).integers(0, 3, (24, 32), np.uint8)
            maker.compressed(
                "/camera/labels/compressed", stamp, cv2.imencode(".png", label)[1], "png"
            )
    return tmp_path / "bag"


@pytest.mark.parametrize("as_file", [False, True])
def test_a_replay_loses_no_frame_and_scores(
    start: Start, small_weights: Path, bag: Path, stand_in: dict[str, str], as_file: bool
):
    path = next(bag.glob("*.mcap")) if as_file else bag
    given = {"bag": str(path), "weights": str(small_weights), "device": "cpu", "engine": "torch"}
    given |= {"out": str(bag.parent / "out"), "rviz": "true"}
    process = launch(start, file="replay", environment=stand_in, **given)
    assert process.wait(90) == 0, process.output
    metrics = json.loads((bag.parent / "out/metrics.json").read_text())
    assert metrics["masks"] == metrics["scored"] == FRAMES and metrics["never_received"] == 0
    assert "rviz2 is not installed" in process.output
    assert "Traceback" not in process.output
    check_report(bag.parent / "out", metrics)


def check_report(out: Path, metrics: dict) -> None:
    """The files are those of evaluate --bag."""
    files = ["frames.csv", "metrics.json", "overlay.mp4", "report.html"]
    assert sorted(path.name for path in out.iterdir()) == files
    assert metrics["frames"] == metrics["live"]["masks"] == FRAMES
    assert metrics["miou"] == metrics["live"]["miou"]
    assert metrics["stability"]["pairs"] == FRAMES - 1


def test_a_stepped_replay_needs_no_ros2_command(start: Start, small_weights: Path, bag: Path):
    given = {"bag": str(bag), "weights": str(small_weights), "device": "cpu", "engine": "torch"}
    given |= {"out": str(bag.parent / "out"), "rate_factor": "0"}
    process = launch(start, file="replay", **given)
    assert process.wait(90) == 0, process.output
    metrics = json.loads((bag.parent / "out/metrics.json").read_text())
    check_report(bag.parent / "out", metrics)
    assert "Traceback" not in process.output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"weights": "/nowhere.safetensors"}, "segmentation_node failed with exit code 3"),
        ({"labels_topic": "/truth"}, "no images on /truth"),
        ({"bag": "/nowhere"}, "does not exist; pass bag:=PATH"),
        ({"fails": "1"}, "player failed with exit code 1"),
    ],
)
def test_a_replay_that_fails_ends_with_a_code(
    start: Start, small_weights: Path, bag: Path, stand_in: dict[str, str], given, said
):
    given = dict(given)
    if given.pop("fails", ""):
        bag.with_suffix(".fails").touch()
    out = bag.parent / "out"
    base = {"bag": str(bag), "weights": str(small_weights), "device": "cpu", "out": str(out)}
    process = launch(start, file="replay", environment=stand_in, **{**base, **given})
    assert process.wait(60) == 1, process.output
    assert said in process.output
    assert "Traceback" not in process.output


def test_a_node_that_cannot_start_ends_the_launch_with_a_code(start: Start):
    process = launch(start, weights="/nowhere.safetensors", device="cpu")
    assert process.wait() == 1
    assert "segmentation_node failed with exit code 3" in process.output


def parameters(peer: Peer, node: str, *names: str) -> dict[str, object]:
    """The values a running node holds."""
    client = peer.node.create_client(GetParameters, f"{node}/get_parameters")
    peer.spin_until(client.service_is_ready, f"{node} to answer")
    future = client.call_async(GetParameters.Request(names=list(names)))
    peer.spin_until(future.done, f"{node}'s parameters")
    values = [parameter_value_to_python(value) for value in future.result().values]
    return dict(zip(names, values, strict=True))


def wait_until_ready(peer: Peer, process: Process) -> None:
    """Wait for the node that ``process`` launches; fail at once with its output if it dies."""
    peer.spin_until(lambda: re.search("ready:|has died", process.output), "the node to be ready")
    assert "has died" not in process.output, process.output


def children(process: Process) -> list[int]:
    """Ids of the processes that launch has started."""
    tasks = Path(f"/proc/{process.child.pid}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def declared(name: str) -> list:
    """The arguments that `--show-args` shows of a launch file."""
    from launch import LaunchContext
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    source = PythonLaunchDescriptionSource(str(ROOT / "launch" / name))
    return source.get_launch_description(LaunchContext()).get_launch_arguments()


def test_show_args_shows_every_argument_with_default_and_choices():
    arguments = segment_arguments(str(ROOT / "config/segment.yaml"))
    shown = declared("segment.launch.py")
    assert [argument.name for argument in shown] == [argument.name for argument in arguments]
    for argument, ours in zip(shown, arguments, strict=True):
        assert ours.description in argument.description
        assert "".join(part.text for part in argument.default_value) == ours.default
        assert tuple(argument.choices or ()) == ours.choices


def test_replay_takes_the_nodes_arguments_too():
    names = {argument.name for argument in declared("replay.launch.py")}
    assert {"bag", "out", "loop", "rate_factor", "labels_topic"} < names
    assert {argument.name for argument in segment_arguments("")} < names


def test_given_arguments_win_over_the_params_file_and_others_do_not(
    start: Start, peer: Peer, tmp_path: Path, small_weights: Path
):
    settings = {
        "weights": str(small_weights),
        "rate": 7.5,
        "overlay_alpha": 0.25,
        "image_topics": ["/front", "/rear"],
        "device": "cpu",
    }
    file = tmp_path / "params.yaml"
    # Named in full, the file's section is stronger than a wildcard; the launch line still wins.
    file.write_text(yaml.safe_dump({"/robot/eyes": {"ros__parameters": settings}}))
    process = launch(
        start,
        params_file=str(file),
        namespace="robot",
        node_name="eyes",
        rate="3",
        image_topic="/only",
    )
    held = parameters(peer, "/robot/eyes", *settings, "image_topic", "precision", "use_sim_time")
    assert held == {
        **settings,
        "rate": 3.0,
        "image_topics": [""],
        "image_topic": "/only",
        "precision": "auto",
        "use_sim_time": False,
    }
    wait_until_ready(peer, process)
    assert process.stop(signal.SIGINT) == 0
    assert "finished cleanly" in process.output


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("precision", "fp8", "fp8"),
        ("rate", "fast", "rate is 'fast'; expected 0.0 to 1000.0"),
        ("params_file", "/no/such.yaml", "params_file is '/no/such.yaml', which does not exist"),
    ],
)
def test_a_wrong_argument_starts_nothing(start: Start, name: str, value: str, says: str):
    process = launch(start, **{name: value})
    assert process.wait() == 1
    assert says in process.output
    assert "process started" not in process.output


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv here")
def test_no_orphan_is_left_when_launch_is_terminated(start: Start, peer: Peer, small_weights: Path):
    process = launch(start, weights=str(small_weights), device="cpu")
    wait_until_ready(peer, process)
    nodes = children(process)
    assert nodes
    process.stop(signal.SIGTERM)

    def gone() -> bool:
        return not any(Path(f"/proc/{pid}/cmdline").exists() for pid in nodes)

    peer.spin_until(gone, "the node to end")
