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

NODE = "bisenet"
RECORDED_TIME = ("--stamps", "original", "--clock", "100")  # Hz; its period bounds errors of ages
START_TIMEOUT_S = 180.0  # importing torch can take long on a busy robot
LAST_MASK_TIMEOUT_S = 60.0  # a slow network may still have to process the newest frame
DIAGNOSTICS_TIMEOUT_S = 5.0  # they are published once per second

Progress = Callable[[str, int | None], None]


@dataclass(frozen=True)
class LivePlan:
    """What to play, and how.

    Attributes:
        bag: what to play.
        image_topic: in the bag.
        rate: frames per second, under new stamps; None for the recorded stamps and times.
        rate_factor: without a rate, how much faster than recorded; 0 for as fast as the node
            serves every frame.
        weights: None for the node's default.
        device: of the node.
        node: further parameters of the node.
    """

    bag: Path
    image_topic: str
    rate: float | None = None
    rate_factor: float = 1.0
    weights: Path | None = None
    device: str = "auto"
    node: tuple[tuple[str, str], ...] = ()

    @property
    def simulated(self) -> bool:
        """Whether the node follows the bag's time."""
        return self.rate is None


@dataclass(frozen=True)
class Played:
    """A finished run: the player's report, and the recorded outputs of the node."""

    player: dict[str, Any]
    recording: Recording

    @property
    def stamps(self) -> list[int]:
        """Stamps of the frames played, ns, in order."""
        return self.player["stamps"]

    @property
    def served(self) -> dict[int, int]:
        """Stamp of the mask by the stamp that its frame has in the bag, ns."""
        masks = set(self.recording.mask_stamps())
        found: dict[int, int] = {}
        for recorded, stamp in zip(self.player["recorded_stamps"], self.stamps, strict=True):
            if stamp in masks:
                found.setdefault(recorded, stamp)
        return found


def play(plan: LivePlan, folder: Path, progress: Progress, executable: Executable) -> Played:
    """Start node, recorder and player, each once the previous one is ready; stop all at the end.

    Args:
        plan: see :class:`LivePlan`.
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
        scorer = start("evaluation_node", *scorer_arguments(plan, recording))
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


def node_arguments(plan: LivePlan) -> list[str]:
    """Command line of segmentation_node: every frame, since the player sets the rate."""
    compressed = plan.image_topic.endswith("/compressed")
    parameters: dict[str, Any] = {
        "image_topic": plan.image_topic.removesuffix("/compressed"),
        "image_transport": "compressed" if compressed else "raw",
        "rate": 0.0,
        "device": plan.device,
        **dict(plan.node),
    }
    if plan.simulated:
        parameters["use_sim_time"] = True
    if plan.weights is not None:
        parameters["weights"] = str(plan.weights.absolute())
    return ["--ros-args", "-r", "__ns:=/", "-r", f"__node:={NODE}", *_assigned(parameters)]


def scorer_arguments(plan: LivePlan, recording: Recording) -> list[str]:
    """Command line of evaluation_node."""
    parameters: dict[str, Any] = {
        "mask_topic": f"/{NODE}/mask",
        "confidence_topic": f"/{NODE}/confidence",
        "label_names_topic": f"/{NODE}/labels",
        "labels_topic": "",
        "record": str(recording.folder.absolute()),
        "out": str(recording.folder.absolute()),
    }
    if plan.simulated:
        parameters["use_sim_time"] = True
    return ["--ros-args", "-r", "__ns:=/", *_assigned(parameters)]


def player_arguments(plan: LivePlan, result: Path) -> list[str]:
    """Command line of camera_player."""
    time_options: tuple[str, ...]
    if plan.rate is not None:
        time_options = ("--rate", str(plan.rate), "--stamps", "fresh")
    elif plan.rate_factor > 0:
        time_options = ("--rate-factor", str(plan.rate_factor), *RECORDED_TIME)
    else:
        time_options = ("--lockstep", f"/{NODE}/mask", *RECORDED_TIME)
    return [
        *(str(plan.bag.absolute()), "--topic", plan.image_topic, *time_options),
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
        progress("playing", len(recording.mask_stamps()))
        return player.ended

    wait_until(over, others, float("inf"), "the recording ended")


def _wait_for_last(
    played: dict[str, Any], children: Sequence[Child], recording: Recording, progress: Progress
) -> None:
    """Wait for the newest frame's mask, which is never superseded, and what follows it.

    That is its confidence, and diagnostics that count it.

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
        whole = len(recording.confidence_stamps()) >= len(stamps)
        return (whole and _counted(recording, len(stamps))) or now - done_at > DIAGNOSTICS_TIMEOUT_S

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
