"""The launch files with real launch, launch_ros and nodes; skipped if launch is missing."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
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


def launch(start: Start, **given: str) -> Process:
    """Start segment.launch.py with the arguments ``given``."""
    file = str(ROOT / "launch/segment.launch.py")
    arguments = [f"{name}:={value}" for name, value in given.items()]
    prefixes = filter(None, [os.environ.get("AMENT_PREFIX_PATH"), sys.prefix])
    return start(
        [sys.executable, "-c", DRIVER, file, *arguments],
        AMENT_PREFIX_PATH=os.pathsep.join(prefixes),
    )


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
