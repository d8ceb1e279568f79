"""Plays a bag through the real node: three processes that communicate over topics only."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisenet_ros.recordings.node_outputs import Recording, read_json
from bisenet_ros.system.environment import ros_environment
from bisenet_ros.system.subprocesses import Child, Executable, wait_until

IMAGE_TOPIC = "/camera/image_raw/compressed"
LABELS_TOPIC = "/camera/labels/compressed"
NODE = "bisenet"
START_TIMEOUT_S = 180.0  # importing torch can take long on a busy robot
LAST_MASK_TIMEOUT_S = 60.0  # a slow network may still have to process the newest frame
DIAGNOSTICS_TIMEOUT_S = 5.0  # they are published once per second

Progress = Callable[[str, int | None], None]


@dataclass(frozen=True)
class DemoPlan:
    """What to play: a bag, at ``rate`` Hz, with these weights and device.

    ``weights`` None: the node's default.
    """

    bag: Path
    rate: float
    weights: Path | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Played:
    """A finished run: the player's report, and the recorded outputs of the node."""

    player: dict[str, Any]
    recording: Recording

    @property
    def stamps(self) -> list[int]:
        """Stamps of the frames played, ns, in order; frame i of the bag has stamp i."""
        return self.player["stamps"]


def play(plan: DemoPlan, folder: Path, progress: Progress, executable: Executable) -> Played:
    """Start node, recorder and player, each once the previous one is ready; stop all at the end.

    Args:
        plan: see :class:`DemoPlan`.
        folder: where the recording and the processes' logs go.
        progress: called with the current activity and the masks so far, None if unchanged.
        executable: how to start the package's ROS programs.

    Raises:
        ChildError: a process could not start or failed; quotes its output.
    """
    recording = Recording(folder / "recording")
    environment = ros_environment()
    with contextlib.ExitStack() as running:

        def start(name: str, *arguments: str) -> Child:
            command = [*executable(name), *arguments]
            child = Child(name, command, folder / f"{name}.log", environment)
            return running.enter_context(child)

        progress("starting the node", 0)
        node = start("segmentation_node", *node_arguments(plan))
        scorer = start("evaluation_node", *scorer_arguments(recording))
        _wait_ready(node, [node])
        _wait_ready(scorer, [node, scorer])
        player = start("camera_player", *player_arguments(plan, folder / "player.json"))
        _follow(player, [node, scorer], recording, progress)
        played = read_json(folder / "player.json")
        _wait_for_last(played, [node, scorer], recording, progress)
        scorer.stop()  # it writes its figures on shutdown
        if scorer.process.returncode:
            scorer.ended  # noqa: B018 raises with its output
    return Played(played, recording)


def node_arguments(plan: DemoPlan) -> list[str]:
    """Command line of segmentation_node: every frame, since the player sets the rate."""
    parameters = {
        "image_topic": IMAGE_TOPIC.removesuffix("/compressed"),
        "image_transport": "compressed",
        "rate": 0.0,
        "device": plan.device,
    }
    if plan.weights is not None:
        parameters["weights"] = str(plan.weights.absolute())
    return ["--ros-args", "-r", "__ns:=/", "-r", f"__node:={NODE}", *_assigned(parameters)]


def scorer_arguments(recording: Recording) -> list[str]:
    """Command line of evaluation_node."""
    parameters = {
        "mask_topic": f"/{NODE}/mask",
        "overlay_topic": f"/{NODE}/overlay",
        "label_names_topic": f"/{NODE}/labels",
        "labels_topic": LABELS_TOPIC,
        "record": str(recording.folder.absolute()),
        "out": str(recording.folder.absolute()),
    }
    return ["--ros-args", "-r", "__ns:=/", *_assigned(parameters)]


def player_arguments(plan: DemoPlan, result: Path) -> list[str]:
    """Command line of camera_player."""
    return [
        *(str(plan.bag.absolute()), "--topic", IMAGE_TOPIC, "--also", LABELS_TOPIC),
        *("--rate", str(plan.rate), "--stamps", "fresh"),
        *("--wait-for-subscribers", "1", "--json", str(result)),
    ]


def _assigned(parameters: dict[str, Any]) -> list[str]:
    # JSON is YAML: a quoted string stays one, even if it looks like a number.
    pairs = (f"{name}:={json.dumps(value)}" for name, value in parameters.items())
    return [argument for pair in pairs for argument in ("-p", pair)]


def _wait_ready(child: Child, children: Sequence[Child]) -> None:
    wait_until(
        lambda: "ready" in child.output, children, START_TIMEOUT_S, f"{child.name} was ready"
    )


def _follow(
    player: Child, others: Sequence[Child], recording: Recording, progress: Progress
) -> None:
    """Report progress while the player plays."""

    def over() -> bool:
        progress("playing the drive", len(recording.mask_stamps()))
        return player.ended

    wait_until(over, others, float("inf"), "the drive ended")


def _wait_for_last(
    played: dict[str, Any], children: Sequence[Child], recording: Recording, progress: Progress
) -> None:
    """Wait for the newest frame's mask, which is never superseded, and diagnostics that count it.

    A mask that does not arrive in time is not an error here: the figures will show it.
    """
    last = played["stamps"][-1] if played["stamps"] else None
    started = time.monotonic()
    done_at: float | None = None

    def over() -> bool:
        nonlocal done_at
        stamps = recording.mask_stamps()
        progress("waiting for the last mask", len(stamps))
        now = time.monotonic()
        if done_at is None and (last in stamps or now - started > LAST_MASK_TIMEOUT_S):
            done_at = now
        if done_at is None:
            return False
        return _counted(recording, len(stamps)) or now - done_at > DIAGNOSTICS_TIMEOUT_S

    wait_until(
        over, children, LAST_MASK_TIMEOUT_S + 2 * DIAGNOSTICS_TIMEOUT_S, "the last mask arrived"
    )


def _counted(recording: Recording, masks: int) -> bool:
    """Whether the node published diagnostics after this many masks."""
    statuses = recording.diagnostics().items()
    return any(
        name.startswith(f"{NODE}: camera") and status["masks_before"] >= masks
        for name, status in statuses
    )
