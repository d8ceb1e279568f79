"""What replay.launch.py does, as plain values: what to play, and what follows when a process ends.

Needs neither launch nor rclpy to be tested.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.bag_files import open_bag
from bisenet_ros.recordings.rosbag import COMPRESSED, IMAGE
from bisenet_ros.system.paths import expanded

CLOCK_HZ = "100"  # of /clock; its period bounds the error of measured ages
GATE_TIMEOUT_S = "120"  # to load weights and find each other on a slow machine
SUFFIX = "/compressed"
NODE, SCORER, GATE, PLAYER = "segmentation_node", "evaluation_node", "replay_gate", "player"


@dataclass(frozen=True)
class ReplayPlan:
    """What is played.

    Attributes:
        bag: a bag folder or file.
        transport: how the bag holds the images: ``raw`` or ``compressed``.
        images: how many images of the node's topics it holds; 0 if that is unknown.
        topic: the first camera's topic as it is in the bag; empty if a params file decides.
        labels: the labels' topic as it is in the bag; empty for none.
    """

    bag: Path
    transport: str
    images: int
    topic: str = ""
    labels: str = ""


def plan_replay(bag: str, image_topics: Sequence[str], labels_topic: str) -> ReplayPlan:
    """Look into the bag, a folder or a single file.

    Args:
        bag: its path; ``~`` and variables are resolved.
        image_topics: base topics that the node listens to; empty if a params file decides.
        labels_topic: base topic of the labels, or its ``/compressed`` topic; empty for none.

    Raises:
        DataError: the bag does not exist or cannot be read, or lacks a topic; lists those it has.
    """
    path = Path(expanded(bag))
    if not bag or not path.exists():
        raise DataError(f"bag is {bag!r}, which does not exist; pass bag:=PATH")
    storage = open_bag(path)
    try:
        counts = {(c.topic, c.type): c.messages for c in storage.channels}
    finally:
        storage.close()
    labels = dict(_found(counts, labels_topic)) if labels_topic else {}
    if labels_topic and not labels:
        raise _lacks(
            path, labels_topic, counts, "labels_topic:=TOPIC, or labels_topic:='' for none"
        )
    transports, images = [], 0
    for topic in image_topics:
        found = dict(_found(counts, topic))
        if not found:
            raise _lacks(path, topic, counts, "image_topic:=TOPIC")
        transports.append("raw" if "raw" in found else "compressed")
        images += found[transports[-1]]
    if len(set(transports)) > 1:
        raise DataError(
            f"{path} holds some of {', '.join(image_topics)} raw and some compressed; the node "
            "takes one transport for all, so replay them one after the other"
        )
    transport = transports[0] if transports else "raw"
    return ReplayPlan(
        path,
        transport,
        images,
        _in_bag(image_topics[0], transport) if image_topics else "",
        _in_bag(labels_topic, "raw" if "raw" in labels else "compressed"),
    )


def _in_bag(topic: str, transport: str) -> str:
    """The name under which a base topic is recorded."""
    there = not topic or transport == "raw" or topic.endswith(SUFFIX)
    return topic if there else topic + SUFFIX


def _found(counts: dict[tuple[str, str], int], topic: str) -> Iterator[tuple[str, int]]:
    """The transports in which a topic is there, and its messages."""
    if (topic, IMAGE) in counts:
        yield "raw", counts[topic, IMAGE]
    name = topic if topic.endswith(SUFFIX) else topic + SUFFIX
    if (name, COMPRESSED) in counts:
        yield "compressed", counts[name, COMPRESSED]


def _lacks(
    path: Path, topic: str, counts: dict[tuple[str, str], int], what_to_do: str
) -> DataError:
    images = sorted(name for name, kind in counts if kind in (IMAGE, COMPRESSED))
    others = sorted(name for name, kind in counts if kind not in (IMAGE, COMPRESSED))
    topics = f"images on {', '.join(images) or 'none'}; other topics: {', '.join(others) or 'none'}"
    return DataError(f"{path} has no images on {topic}; it has {topics}; pass {what_to_do}")


def player_command(bag: Path, rate_factor: float, loop: bool) -> list[str]:
    """``ros2 bag play``, paused until the gate opens: its topics exist, but nothing is lost."""
    command = ["ros2", "bag", "play", str(bag), "--clock", CLOCK_HZ, "--rate", str(rate_factor)]
    command += ["--start-paused", "--disable-keyboard-controls"]
    return [*command, "--loop"] if loop else command


def stepper_arguments(plan: ReplayPlan, mask_topic: str, loop: bool) -> list[str]:
    """Arguments of camera_player, which waits for the mask of each frame and steps /clock."""
    arguments = [str(plan.bag), *(["--topic", plan.topic] if plan.topic else [])]
    arguments += ["--lockstep", mask_topic, *(["--also", plan.labels] if plan.labels else [])]
    arguments += ["--stamps", "original", "--clock", CLOCK_HZ, "--wait-for-subscribers", "1"]
    return [*arguments, "--loop"] if loop else arguments


def gate_command(node: str, scorer: str) -> list[str]:
    """The process that waits until everybody is connected and then resumes the player."""
    command = [sys.executable, "-m", "bisenet_ros.ros.replay_gate"]
    return [*command, "--node", node, "--scorer", scorer, "--timeout", GATE_TIMEOUT_S]


@dataclass(frozen=True)
class Step:
    """What to do after a process has ended.

    Attributes:
        shutdown: whether to end the run.
        after_s: seconds to wait before that.
        reason: why.
        failed: whether the run ends with a non-zero exit code.
    """

    shutdown: bool = False
    after_s: float = 0.0
    reason: str = ""
    failed: bool = False


SETTLE_S = 2.0  # for the last masks to be computed and scored


def after_exit(process: str, code: int, ending: bool) -> Step:
    """What follows when a process of the replay ends.

    Args:
        process: one of ``NODE``, ``SCORER``, ``GATE``, ``PLAYER``, or another, which is ignored.
        code: its exit code.
        ending: whether the run is being shut down already.
    """
    if process not in (NODE, SCORER, GATE, PLAYER):
        return Step()
    if code and not (ending and process in (GATE, PLAYER)):  # those two are just interrupted
        return Step(True, 0.0, f"{process} failed with exit code {code}", failed=True)
    if ending or process == GATE:
        return Step()
    if process == PLAYER:
        return Step(True, SETTLE_S, "the bag ended")
    return Step(True, 0.0, f"{process} exited")
